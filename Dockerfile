# Python 3.11.17 on Debian 13. The digest names the index of all platforms, so the tag is for readers only.
FROM python:3.11-slim@sha256:45037981b62b34b44602584fccbc4d884d5f7dc92c7ee86bb38a698a79fe1e51

# An init passes SIGTERM on and buries what is left behind.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 typist && install -d -o typist /data

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY bot bot
COPY handlers handlers

ENV BOT_HEALTH_PORT=8080 DATABASE_URL=sqlite:////data/typist.db
VOLUME /data
USER typist
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["python", "-m", "bot", "health"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "bot", "run"]
