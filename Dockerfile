# The gateway as a small image: packages with pinned hashes, compiled where it counts, no compiler in it, no root.
FROM python:3.12 AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.lock /tmp/requirements.lock
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: -r /tmp/requirements.lock \
    && /opt/venv/bin/pip uninstall -y pip
COPY gateway /opt/venv/lib/python3.12/site-packages/gateway
# the modules on the way of every request, compiled by tools that stay in this stage
COPY requirements-build.lock /tmp/requirements-build.lock
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: \
        -r /tmp/requirements.lock -r /tmp/requirements-build.lock
COPY gateway /src/gateway
COPY deploy/native.py /src/deploy/native.py
RUN /opt/build/bin/python /src/deploy/native.py --into /opt/venv/lib/python3.12/site-packages/gateway
RUN printf '#!/opt/venv/bin/python\nimport sys\nfrom gateway.cli.main import main\nsys.exit(main())\n' > /opt/venv/bin/gateway \
    && chmod 0755 /opt/venv/bin/gateway \
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib/python3.12/site-packages/gateway

FROM python:3.12-slim
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
