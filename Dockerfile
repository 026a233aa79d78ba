# Builds and unit-tests attend on Debian 13, then keeps the programs and the libraries they load.
FROM docker.io/library/debian:trixie-slim AS base
# Empty: the archive that the base image names.
ARG DEBIAN_MIRROR=
RUN [ -z "$DEBIAN_MIRROR" ] || find /etc/apt -name '*.sources' -o -name sources.list | \
    xargs sed -i -E "s#https?://[^ ]+/debian( |\$)#$DEBIAN_MIRROR\1#"

FROM base AS build
COPY deploy/apt/build.txt /tmp/
RUN --mount=type=secret,id=apt_conf,target=/etc/apt/apt.conf.d/90host \
    apt-get update -q && grep -v '^#' /tmp/build.txt | \
    DEBIAN_FRONTEND=noninteractive xargs apt-get install -y -q --no-install-recommends
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/ccache \
    ATTEND_CCACHE=ccache cmake --preset release && \
    cmake --build --preset release --parallel "$(nproc)"
RUN ctest --preset release -L '^unit$' --parallel "$(nproc)"
RUN install -s -D -t /out/usr/bin build/release/bin/attend-server build/release/bin/attend && \
    # The packages that own the libraries the programs load, under their names of this release.
    ldd /out/usr/bin/* | sed -nE 's|.*=> /(usr/)?(lib/[^ ]+) .*|\2|p' | sort -u | \
    while read -r library; do dpkg-query -S "*/$library"; done | \
    cut -d: -f1 | sort -u >/out/packages

FROM base
# Copied and not mounted from the stage: podman 4.3 mounts nothing when the stage comes from its
# cache (buildah issue 4375), and keeps the old layer when the stage has changed (4522).
COPY --from=build /out/packages /usr/share/attend/packages
RUN --mount=type=secret,id=apt_conf,target=/etc/apt/apt.conf.d/90host \
    apt-get update -q && \
    DEBIAN_FRONTEND=noninteractive \
    xargs -a /usr/share/attend/packages apt-get install -y -q --no-install-recommends && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/* && \
    useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin attend
COPY --from=build /out/usr/bin/ /usr/bin/
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
