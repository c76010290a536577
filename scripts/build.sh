#!/usr/bin/env bash
# Builds the release: build.sh [--frontend-only]
#
#   all               target/release/rialto and target/site
#   --frontend-only   target/site: the browser's files, for an existing program
#
# `cargo leptos build --release` alone gives the same program, in one file and uncompressed.
#
# Nothing is built if nothing changed since the last build. cargo-leptos alone would repeat wasm-bindgen, wasm-opt and
# the compression.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
source scripts/env.sh

label="Release build, server and browser"
results=(target/site target/release/rialto)
if [ "${1:-}" = --frontend-only ]; then
    label="Release build, browser"
    results=(target/site)
fi
stamp_file=target/.rialto-built-${#results[@]}

# Inputs are the compiler and every file of the build that git tracks or would track.
print_inputs() {
    git ls-files -z --cached --others --exclude-standard -- . ':!end2end' ':!tests' ':!benches' ':!docs' ':!*.md' |
        sort -z | xargs -0 sha256sum 2>&1
    # The lock file pins wasm-opt.
    cat "$RIALTO_TOOLS/toolchain" end2end/package-lock.json 2>&1
    echo "cargo-leptos $RIALTO_CARGO_LEPTOS_VERSION ${RUSTFLAGS:-}"
}

# Outputs are part of the fingerprint, because `make dev` replaces them with a debug build.
print_outputs() {
    find "${results[@]}" -type f -printf '%p %s %T@\n' 2>&1 | sort
}

build_fingerprint() { { print_inputs && print_outputs; } | sha256sum; }

if git rev-parse --git-dir >/dev/null 2>&1 && [ -d target/site/pkg ] &&
    [ "$(cat "$stamp_file" 2>/dev/null)" = "$(build_fingerprint)" ]; then
    echo "==> $label: nothing changed"
    exit 0
fi

rm -f "$stamp_file"
inputs_before=$(print_inputs)
scripts/step.sh "$label" cargo leptos build --release --precompress --split --cargo-locked "$@"

# A file saved during the build may be missing from the result. Then no stamp is written, and the next run builds again.
if [ "$inputs_before" = "$(print_inputs)" ]; then
    build_fingerprint >"$stamp_file"
fi
