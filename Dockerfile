# syntax=docker/dockerfile:1
# Rialto in a container: docker build --tag rialto .
#
# The build is the project's own (scripts/bootstrap.sh, make build), so no version stands here twice but the compiler's.

FROM rust:1.95-bookworm AS build
RUN rustup target add wasm32-unknown-unknown && rustup component add clippy rustfmt
WORKDIR /src
# Tools first: they change seldom and take ten minutes.
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
    && cp -r target/release/rialto target/release/hash.txt target/site /out/

FROM debian:bookworm-slim
# A number that no other image uses is the same on every machine that mounts the data. A new volume takes its owner from the folder
# it is mounted over: without /data/files, one that is mounted there would be root's.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin rialto \
    && install --directory --owner=rialto --group=rialto --mode=0750 /data /data/files
# The program looks for hash.txt beside itself.
COPY --from=build /out /opt/rialto
# A NATS server or a bucket that is reached through TLS is checked against these.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
ENV LEPTOS_SITE_ROOT=/opt/rialto/site \
    LEPTOS_HASH_FILES=true \
    RIALTO_LISTEN=0.0.0.0:3000 \
    RIALTO_DATA=/data
USER 10001:10001
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
# The image has no curl, but bash can speak to a port.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${RIALTO_LISTEN##*:} && printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["/opt/rialto/rialto"]
CMD ["serve"]
