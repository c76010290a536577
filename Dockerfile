# syntax=docker/dockerfile:1
# Rialto in a container: docker build --tag rialto .
#
# The build runs scripts/bootstrap.sh and make build, so the compiler is the only version repeated here.

FROM rust:1.95-bookworm AS build
# Not what rust-toolchain.toml names, which would be downloaded once more.
ENV RUSTUP_TOOLCHAIN=1.95
RUN rustup target add wasm32-unknown-unknown && rustup component add clippy rustfmt
WORKDIR /src
# Tools first: they take ten minutes and rarely change.
COPY Cargo.toml Cargo.lock Makefile ./
COPY scripts scripts
COPY end2end/package.json end2end/package-lock.json end2end/
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    scripts/bootstrap.sh run
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    make build \
    && mkdir /out \
    && cp -r target/release/rialto target/site /out/

FROM debian:bookworm-slim
# A fixed uid is the same on every machine that mounts the data. A new volume inherits the owner of the folder it is mounted over:
# without /data/files and /backups, a volume mounted there would belong to root.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin rialto \
    && install --directory --owner=rialto --group=rialto --mode=0750 /data /data/files /backups
COPY --from=build /out /opt/rialto
# Root certificates, for TLS to a NATS server or a bucket.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
ENV LEPTOS_SITE_ROOT=/opt/rialto/site \
    RIALTO_LISTEN=0.0.0.0:3000 \
    RIALTO_DATA=/data
USER 10001:10001
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
# The image has no curl, but bash can open a TCP connection.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${RIALTO_LISTEN##*:} && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["/opt/rialto/rialto"]
