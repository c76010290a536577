#!/usr/bin/env bash
# Checks that tests and benches ask for no other features of a dependency than the program does. If they do, cargo compiles that
# dependency, and everything that depends on it, once for the one and once for the other: minutes of every first build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Each package with its features, a line each.
features() {
    cargo tree --locked --prefix none --format '{p} {f}' "$@" | sed 's/ (\*)$//' | sort -u
}
different=$(comm -23 <(features --edges normal,build) \
    <(features --edges normal,build,dev --package rialto --package rialto-bench))
if [ -n "$different" ]; then
    echo "    these have other features with tests and benches than without:" >&2
    while read -r name _; do
        features --edges normal,build | grep "^$name " | sed 's/^/      program:          /' >&2
        features --edges normal,build,dev --package rialto --package rialto-bench | grep "^$name " |
            sed 's/^/      tests and benches: /' >&2
    done <<<"$different"
    exit 1
fi
