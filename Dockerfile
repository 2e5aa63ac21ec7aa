# syntax=docker/dockerfile:1
# One image for web, worker, scheduler and migration; compose says which it is.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY manage.py ./
COPY portal portal
COPY screening screening
COPY ml ml
COPY templates templates
COPY locale locale
COPY static static
# Collected here, so that the running container can be read-only.
RUN THORASCREEN_VAR=/tmp/build STATIC_ROOT=/app/staticfiles \
    DJANGO_SETTINGS_MODULE=portal.settings.collect python manage.py collectstatic --noinput \
    && python -m compileall -q portal screening ml


FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=portal.settings.production \
    THORASCREEN_VAR=/var/lib/thorascreen \
    STATIC_ROOT=/app/staticfiles \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    TF_CPP_MIN_LOG_LEVEL=2
# pg_dump and pg_restore for backups, of the server's version; Debian's own are older.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates postgresql-common \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install --yes --no-install-recommends postgresql-client-16 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 thorascreen \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin thorascreen \
    && install --directory --owner=10001 --group=10001 --mode=0700 \
        /var/lib/thorascreen /var/lib/thorascreen-keys /var/lib/thorascreen-backups
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
USER 10001:10001
VOLUME /var/lib/thorascreen /var/lib/thorascreen-keys
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-m", "portal.probe", "http://127.0.0.1:8000/healthz"]
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--config", "python:portal.gunicorn_conf"]
