#!/usr/bin/env bash
# Checks that tests and benches use the same features of every dependency as the program does. Otherwise cargo compiles
# the dependency and its dependents twice, which adds minutes to a first build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Prints one line for each package: name, version and features.
list_features() {
    cargo tree --locked --prefix none --format '{p} {f}' "$@" | sed 's/ (\*)$//' | sort -u
}

program_features=$(list_features --edges normal,build)
all_features=$(list_features --edges normal,build,dev --package rialto --package rialto-bench)
differences=$(comm -23 <(echo "$program_features") <(echo "$all_features"))
if [ -n "$differences" ]; then
    echo "    these packages have other features with tests and benches than in the program:" >&2
    while read -r name _; do
        grep "^$name " <<<"$program_features" | sed 's/^/      program:          /' >&2
        grep "^$name " <<<"$all_features" | sed 's/^/      tests and benches: /' >&2
    done <<<"$differences"
    exit 1
fi
