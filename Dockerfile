# The gateway as a small image: the released wheel, packages with pinned hashes, compiled where it counts; no compiler
# in it, no root.
FROM python:3.12 AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv && python -m venv /opt/build
COPY requirements.lock requirements-build.lock /tmp/
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.lock \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: \
        -r /tmp/requirements.lock -r /tmp/requirements-build.lock
COPY pyproject.toml README.md LICENSE /src/
COPY config /src/config
COPY deploy /src/deploy
COPY gateway /src/gateway
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist /src \
    && /opt/venv/bin/pip install --no-deps --no-index /dist/*.whl \
    && /opt/venv/bin/pip uninstall -y setuptools pip
# the modules on the way of every request, compiled by tools that stay in this stage
RUN /opt/build/bin/python /src/deploy/native.py \
    --into "$(/opt/venv/bin/python -c 'import gateway; print(gateway.__path__[0])')"
# what it consists of, as CycloneDX tells it
RUN /opt/build/bin/cyclonedx-py environment /opt/venv/bin/python --output-reproducible \
        --output-file /opt/venv/share/token-gateway/sbom.cdx.json \
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib

FROM python:3.12-slim
LABEL org.opencontainers.image.title="Token Gateway" \
      org.opencontainers.image.description="An authenticating reverse proxy" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
RUN groupadd --system --gid 10001 gateway \
    && useradd --system --uid 10001 --gid gateway --home-dir /var/lib/gateway --create-home gateway
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEWAY_CONFIG=/etc/gateway/gateway.yaml
# the embedded store's files go here: mount a volume where there is no redis section
WORKDIR /var/lib/gateway
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# asks the admin listener, where the configuration has it
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
CMD ["run"]
