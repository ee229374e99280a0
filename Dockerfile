# The operator: python -m vya_backupdb.controller. It never touches a database, so it carries no client program.
#
#   docker build --network host -t vya-backupdb-operator:0.1.0 .
#
# Builds with the classic builder and with BuildKit. Build arguments: BASE (pin it by digest for a release),
# PIP_INDEX_URL (another Python package index; the hashes of the lock hold all the same), VERSION and REVISION (labels).
ARG BASE=debian:trixie-slim

# --- the Python environment ---------------------------------------------------------------------------------------
FROM ${BASE} AS python
# pip and the build backend live in an environment of their own, so that the one that is shipped holds no installer
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && python3 -m venv /opt/pip \
 && python3 -m venv --without-pip /opt/venv
ARG PIP_INDEX_URL
COPY images/build.lock requirements/operator.lock /src/
RUN /opt/pip/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r /src/build.lock \
 && /opt/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --only-binary :all: \
      --require-hashes -r /src/operator.lock

# --- the project ----------------------------------------------------------------------------------------------------
# Apart from what it needs: a changed line of ours then changes a layer of a few hundred kilobytes, not one of 100 MB.
FROM python AS project
COPY LICENSE README.md pyproject.toml /src/
COPY operator /src/operator
# without isolation: pip would fetch whichever build backend is newest, held to no hash
RUN /opt/pip/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels /src \
 && /opt/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --no-index --no-deps --prefix /project /wheels/*.whl

# --- the image ------------------------------------------------------------------------------------------------------
FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/cache/ldconfig/* /var/lib/dpkg/*-old \
      /root/.cache \
 && find /var/log -type f -delete
COPY --from=python /opt/venv /opt/venv
# no bytecode: the root file system is read-only. Output at once: the last words of a killed process count.
ENV PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LANG=C.UTF-8
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vya-backupdb-operator" \
      org.opencontainers.image.description="Kubernetes operator that backs up databases of MySQL, MariaDB and PostgreSQL servers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="VYA Digital" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# a number: kubelet cannot tell whether a name is root. Any other uid works as well.
USER 10001:10001
# no tini: it starts no process, and Python as PID 1 handles SIGTERM because kopf installs a handler
ENTRYPOINT ["python", "-m", "vya_backupdb.controller"]
# last: the only layer that a change of ours makes anew
COPY --from=project /project /opt/venv
