# Python 3.11.17 on Debian 13. The digest names the index of all platforms, so the tag is for readers only.
FROM python:3.11-slim@sha256:45037981b62b34b44602584fccbc4d884d5f7dc92c7ee86bb38a698a79fe1e51 AS base

FROM base AS packages
COPY requirements.txt .
# Python compiles with the time of the build, and stores sets in an order that depends on the hash seed. Some
# packages have files that only other Pythons can compile.
RUN python3 -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --no-compile --require-hashes -r requirements.txt \
    && /venv/bin/pip uninstall --yes pip setuptools \
    && { PYTHONHASHSEED=0 /venv/bin/python -m compileall -f -qq --invalidation-mode unchecked-hash /venv/lib || true; }

FROM base
# An init passes SIGTERM on, and reaps processes whose parents have ended. Debian rebuilds one version several times, and
# keeps only the last build. Nobody but root may read the program, so the kernel keeps its environment, which has the
# tokens, from processes of the same user.
RUN apt-get update \
    && apt-get install -y --no-install-recommends 'tini=0.19.0-*' \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/cache/ldconfig/aux-cache /var/log/apt /var/log/dpkg.log \
    && chmod 711 /usr/bin/tini
# /etc/shadow has the day.
ARG SOURCE_DATE_EPOCH
RUN groupadd --gid 10001 typist \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data typist \
    && install -d -o 10001 -g 10001 /data

COPY --from=packages /venv /venv
ENV PATH=/venv/bin:$PATH BOT_HEALTH_PORT=8080 DATABASE_URL=sqlite:////data/typist.db SLACK_SANDBOX_LISTEN_ON=0.0.0.0
WORKDIR /app
COPY bot bot
COPY handlers handlers
COPY files_to_markdown files_to_markdown
COPY slack_markdown slack_markdown
COPY slack_pacing slack_pacing
COPY slack_probe slack_probe
COPY demo demo
COPY sandbox/slack_sandbox slack_sandbox
COPY deploy/sbom.py deploy/sbom.py
COPY requirements.txt .env.example ./
# The root may be read-only, so Python could not keep what it compiles.
RUN PYTHONHASHSEED=0 python -m compileall -f -q --invalidation-mode unchecked-hash . \
    && python -m deploy.sbom requirements.txt > sbom.cdx.json

VOLUME /data
# A number, so that Kubernetes can tell that it isn't root.
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["python", "-m", "bot", "health"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "bot", "run"]
