#!/usr/bin/env bash
# The release build: build.sh [--frontend-only]
#
#   all               target/release/rialto, target/release/hash.txt and target/site
#   --frontend-only   target/release/hash.txt and target/site: what browsers load, for a program that is there
#
# Where nothing changed since the last one it does nothing: cargo-leptos would bind, optimise and compress the browser's side all over again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
source scripts/env.sh

label="Release build, server and browser"
results=(target/site target/release/hash.txt target/release/rialto)
if [ "${1:-}" = --frontend-only ]; then
    label="Release build, browser"
    results=(target/site target/release/hash.txt)
fi
stamp=target/.rialto-built-${#results[@]}

# What goes in (the compiler, and every file git knows or would know but for the tests), and what came out, which
# `make dev` replaces with a debug build.
inputs() {
    git ls-files -z --cached --others --exclude-standard -- . ':!end2end' ':!tests' ':!benches' ':!docs' ':!*.md' |
        sort -z | xargs -0 sha256sum 2>&1
    cat "$RIALTO_TOOLS/toolchain" 2>&1
    echo "cargo-leptos $RIALTO_CARGO_LEPTOS ${RUSTFLAGS:-}"
}
outputs() {
    find "${results[@]}" -type f -printf '%p %s %T@\n' 2>&1 | sort
}
state() { { inputs && outputs; } | sha256sum; }

if git rev-parse --git-dir >/dev/null 2>&1 && [ -f target/release/hash.txt ] &&
    [ "$(cat "$stamp" 2>/dev/null)" = "$(state)" ]; then
    echo "==> $label: nothing changed"
    exit 0
fi

rm -f "$stamp"
before=$(inputs)
scripts/step.sh "$label" cargo leptos build --release --precompress --cargo-locked --split \
    --lib-features hydrate --lib-features split "$@"

# A file saved while the compiler ran may or may not be in the result: then the next run builds again.
if [ "$before" = "$(inputs)" ]; then
    state >"$stamp"
fi
