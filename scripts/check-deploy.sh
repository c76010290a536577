#!/usr/bin/env bash
# Checks Dockerfile, compose files and deploy/ as far as that is possible without a container engine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin

failed=0
wrong() {
    echo "    $*" >&2
    failed=1
}
checked() { echo "    checked: $*"; }
left_out() { echo "    left out: $*"; }

# What is set is what the program reads.
while read -r name; do
    # The port is compose's own.
    [ "$name" = RIALTO_PORT ] || grep -q "env = \"$name\"" src/server/config.rs src/server/turn/config.rs || wrong "$name: rialto does not read it"
done < <(grep -ohE 'RIALTO_[A-Z_]+' Dockerfile compose*.yaml | sort -u)

# What is copied is there.
while read -r -a words; do
    for source in "${words[@]:1:${#words[@]}-2}"; do
        [ -e "$source" ] || wrong "Dockerfile copies $source, which is not there"
    done
done < <(grep -E '^COPY ' Dockerfile | grep -v -- '--from=')

# The compiler is new enough.
wanted=$(awk -F '"' '/^rust-version *=/ { print $2; exit }' Cargo.toml)
used=$(sed -n 's/^FROM rust:\([0-9.]*\)-.*/\1/p' Dockerfile)
[ "$(printf '%s\n' "$wanted" "$used" | sort -V | head -n 1)" = "$wanted" ] ||
    wrong "Dockerfile builds with Rust $used; Cargo.toml asks for $wanted"

checked "settings, what is copied, the compiler's version"

if docker compose version >/dev/null 2>&1; then
    checked "the compose files, by docker compose"
    for file in compose*.yaml; do
        POSTGRES_PASSWORD=secret docker compose -f "$file" config --quiet || wrong "$file"
    done
else
    left_out "the compose files as compose reads them: there is no docker compose"
fi

if command -v nginx >/dev/null; then
    checked "deploy/nginx.conf, by nginx"
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # Names are only known where the nodes run.
    sed -E 's/server rialto([0-9]):/server 127.0.0.\1:/' deploy/nginx.conf >"$folder/nginx.conf"
    nginx -t -q -g "pid $folder/nginx.pid;" -p "$folder" -c "$folder/nginx.conf" -e stderr || wrong "deploy/nginx.conf"
else
    left_out "deploy/nginx.conf: there is no nginx"
fi
exit "$failed"
