FROM python:3.11-slim

# An init passes SIGTERM on and buries what is left behind.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 typist && install -d -o typist /data

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY bot bot
COPY handlers handlers

ENV BOT_HEALTH_PORT=8080 DATABASE_URL=sqlite:////data/typist.db
VOLUME /data
USER typist
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["python", "-m", "bot", "health"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "bot", "run"]
