#!/usr/bin/env bash
# Checks Dockerfile, compose files and deploy/ as far as the machine allows; none of it needs a container engine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin

failed=0
report_problem() {
    echo "    $*" >&2
    failed=1
}
report_checked() { echo "    checked: $*"; }
report_skipped() { echo "    skipped: $*"; }

# Every RIALTO_ variable is one that the program reads. RIALTO_PORT is for the compose file itself.
while read -r name; do
    [ "$name" = RIALTO_PORT ] ||
        grep -q "env = \"$name\"" src/server/config.rs src/server/turn/config.rs ||
        report_problem "$name: rialto does not read it"
done < <(grep -ohE 'RIALTO_[A-Z_]+' Dockerfile compose*.yaml | sort -u)

# Every source of a COPY exists.
while read -r -a words; do
    for source in "${words[@]:1:${#words[@]}-2}"; do
        [ -e "$source" ] || report_problem "Dockerfile copies $source, which does not exist"
    done
done < <(grep -E '^COPY ' Dockerfile | grep -v -- '--from=')

# The image's compiler is new enough.
min_rust_version=$(awk -F '"' '/^rust-version *=/ { print $2; exit }' Cargo.toml)
docker_rust_version=$(sed -n 's/^FROM rust:\([0-9.]*\)-.*/\1/p' Dockerfile)
[ "$(printf '%s\n' "$min_rust_version" "$docker_rust_version" | sort -V | head -n 1)" = "$min_rust_version" ] ||
    report_problem "Dockerfile builds with Rust $docker_rust_version; Cargo.toml requires $min_rust_version"

# Every image but our own names a version, and perhaps the content: a tag can be moved, and a digest not.
images=$(
    sed -n 's/^FROM \([^ ]*\).*/\1/p' Dockerfile
    sed -n 's/^ *image: *"\{0,1\}\([^" ]*\).*/\1/p' compose*.yaml .gitlab-ci.yml
)
while read -r image; do
    [ "$image" = rialto ] || [[ $image =~ ^[a-z0-9./-]+:[0-9a-z][A-Za-z0-9._-]*(@sha256:[0-9a-f]{64})?$ ]] ||
        report_problem "$image: an image needs a version, and a digest has 64 digits: name:version@sha256:…"
    [[ $image != *:latest* ]] || report_problem "$image: name a version instead of latest"
done <<<"$images"

report_checked "variables, copied files, compiler version, versions of images"

if docker compose version >/dev/null 2>&1; then
    report_checked "compose files, with docker compose"
    for file in compose*.yaml; do
        POSTGRES_PASSWORD=secret docker compose -f "$file" config --quiet || report_problem "$file"
    done
else
    report_skipped "compose files: docker compose is not installed"
fi

if command -v nginx >/dev/null; then
    report_checked "deploy/nginx.conf, with nginx"
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # nginx resolves names when it reads its configuration, and the nodes' names exist only where they run.
    sed -E 's/server rialto([0-9]):/server 127.0.0.\1:/' deploy/nginx.conf >"$folder/nginx.conf"
    nginx -t -q -g "pid $folder/nginx.pid;" -p "$folder" -c "$folder/nginx.conf" -e stderr ||
        report_problem "deploy/nginx.conf"
else
    report_skipped "deploy/nginx.conf: nginx is not installed"
fi
exit "$failed"
