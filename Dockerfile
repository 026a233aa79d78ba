# Builds and unit-tests attend on Debian 13, then keeps the programs and the libraries they load.
# Nothing here names a processor, but images were built and tested for x86-64 (amd64) alone.
# debian:trixie-slim of 3 August 2026, for all architectures (github.com/docker-library/repo-info).
ARG BASE=docker.io/library/debian@sha256:3a39a0592364683e6bab97937b72cad5a8fa6dcbbee90edb3bb48c7f8e94f258
FROM $BASE AS base
# Empty: the archive that the base image names. A snapshot is of the security archive as well.
ARG DEBIAN_MIRROR=
RUN [ -z "$DEBIAN_MIRROR" ] || find /etc/apt -name '*.sources' -o -name sources.list | \
    xargs sed -i -E "s#https?://[^ ]+/debian( |\$)#$DEBIAN_MIRROR\1#"
RUN security=$(echo "$DEBIAN_MIRROR" | sed -nE 's#/archive/debian/#/archive/debian-security/#p'); \
    [ -z "$security" ] || find /etc/apt -name '*.sources' -o -name sources.list | \
    xargs sed -i -E "s#https?://[^ ]+/debian-security( |\$)#$security\1#"

FROM base AS build
COPY deploy/apt/build.txt /tmp/
RUN --mount=type=secret,id=apt_conf,target=/etc/apt/apt.conf.d/90host \
    export DEBIAN_FRONTEND=noninteractive && apt-get update -q && apt-get upgrade -y -q && \
    grep -v '^#' /tmp/build.txt | xargs apt-get install -y -q --no-install-recommends
WORKDIR /src
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY proto proto
COPY core core
COPY client client
COPY server server
COPY tests tests
# Here is no git to ask.
ARG REVISION=unknown
RUN --mount=type=cache,target=/root/.cache/ccache \
    ATTEND_CCACHE=ccache cmake --preset release -D ATTEND_REVISION="$REVISION" && \
    cmake --build --preset release --parallel "$(nproc)" --target attend-server attend unit_tests
RUN ctest --preset release -L '^unit$' --parallel "$(nproc)"
# Another value assembles the image again from what is compiled, where the engine's cache would do.
ARG ASSEMBLY=
COPY deploy/image/assemble-root /tmp/
RUN /tmp/assemble-root /out build/release/bin/attend-server build/release/bin/attend

# Writes the list of software (CycloneDX).
FROM base AS software
COPY deploy/image/sbom.txt /tmp/
RUN --mount=type=secret,id=apt_conf,target=/etc/apt/apt.conf.d/90host \
    apt-get update -q && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv
# `ca` are the certificates that the host trusts, where it must trust others than usual.
RUN --mount=type=secret,id=ca python3 -m venv /opt/sbom && \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi && \
    /opt/sbom/bin/pip install -q --require-hashes -r /tmp/sbom.txt
# Copied and not mounted from the stage: podman 4.3 mounts nothing when the stage comes from its
# cache (buildah issue 4375), and keeps the old layer when the stage has changed (4522).
COPY --from=build /out /out
ARG VERSION=unknown
ARG SOURCE_DATE_EPOCH=0
ARG ASSEMBLY=
COPY deploy/image/write-sbom /tmp/
RUN /tmp/write-sbom /out

FROM scratch
COPY --from=software /out/ /
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="attend" \
      org.opencontainers.image.description="Multi-head attention on CPUs as a gRPC service" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
USER 10001:10001
# Plain text on all addresses: the network of a container is its own, and whoever publishes a port
# decides who reaches it. With a certificate (ATTEND_TLS_CERT, ATTEND_TLS_KEY) calls are encrypted.
ENV ATTEND_LISTEN=0.0.0.0:50051 ATTEND_METRICS_LISTEN=0.0.0.0:9090 ATTEND_INSECURE=on
EXPOSE 50051 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/bin/attend-server", "--healthcheck"]
ENTRYPOINT ["/usr/bin/attend-server"]
