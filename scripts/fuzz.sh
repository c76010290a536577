#!/usr/bin/env bash
# Runs a target of src/fuzzing.rs under libFuzzer: scripts/fuzz.sh TARGET|all [SECONDS]. It needs a nightly toolchain and cargo-fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
source scripts/env.sh

usage() {
    echo "usage: scripts/fuzz.sh TARGET|all [SECONDS]"
    echo "targets: $(cd fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//' | xargs)"
}
target=${1:-}
seconds=${2:-60}
if [ "$target" != all ] && [ ! -f "fuzz/fuzz_targets/$target.rs" ]; then
    usage >&2
    exit 2
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2
    exit 1
fi

# The versions that the program has.
cp Cargo.lock fuzz/Cargo.lock
# cargo-fuzz sets RUSTFLAGS, which replaces what .cargo/config.toml sets.
export RUSTFLAGS="--cfg erase_components" RUSTUP_TOOLCHAIN=nightly
# AddressSanitizer could find faults only in unsafe code of dependencies; with it, and in one unit, the server alone compiles for twenty minutes.
build=(--sanitizer none --codegen-units 16)
# Long inputs find nothing that shorter ones do not, and are slow.
options=(-max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1)

targets=("$target")
[ "$target" != all ] || targets=(fuzz/fuzz_targets/*.rs)
failed=()
for target in "${targets[@]}"; do
    target=$(basename "$target" .rs)
    echo "==> $target, $seconds s"
    cargo fuzz run "${build[@]}" "$target" -- "${options[@]}" || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}. fuzz/artifacts has the inputs; docs/testing.md says how to keep them" >&2
    exit 1
fi
