# shellcheck shell=bash
# Puts the tools that scripts/bootstrap.sh chose or built in front of PATH. To be sourced, from bash, by every recipe:
#
#     source scripts/env.sh
#
# It installs nothing, asks no network and leaves the shell's options alone. What it reads, all under $RIALTO_TOOLS:
#   toolchain   first line: "default", "rustup NAME" or "distribution" (the rest: what the choice was checked with)
#   node-N/     a node of our own, where the system's is too old

RIALTO_TOOLS="${RIALTO_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/rialto}"
export RIALTO_TOOLS

# The one place that names the versions; bootstrap.sh installs just these.
RIALTO_CARGO_LEPTOS=0.3.11
RIALTO_NODE_MAJOR=22

rialto_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The wasm-bindgen command must equal the crate's version to the last digit.
RIALTO_WASM_BINDGEN=
if [ -f "$rialto_root/Cargo.lock" ]; then
    RIALTO_WASM_BINDGEN=$(awk -F '"' '/^name = "wasm-bindgen"$/ { getline; print $2; exit }' \
        "$rialto_root/Cargo.lock")
fi

# Puts a folder first on PATH. Where it stood before does not matter: the first place wins.
rialto_path() {
    case "$PATH" in
        "$1:"*) ;;
        *) PATH="$1:$PATH" ;;
    esac
}

# rustup's own folder, for a shell that has not read the profile rustup wrote.
if ! command -v rustup >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/rustup" ]; then
    rialto_path "${CARGO_HOME:-$HOME/.cargo}/bin"
fi

rialto_toolchain=
if [ -f "$RIALTO_TOOLS/toolchain" ]; then
    IFS= read -r rialto_toolchain <"$RIALTO_TOOLS/toolchain" || true
fi
case "$rialto_toolchain" in
    "rustup "*) export RUSTUP_TOOLCHAIN="${rialto_toolchain#rustup }" ;;
    distribution) rialto_path /usr/bin ;;
esac

if [ -x "$RIALTO_TOOLS/node-$RIALTO_NODE_MAJOR/bin/node" ]; then
    rialto_path "$RIALTO_TOOLS/node-$RIALTO_NODE_MAJOR/bin"
fi
rialto_path "$rialto_root/end2end/node_modules/.bin"
rialto_path "$RIALTO_TOOLS/wasm-bindgen-cli-$RIALTO_WASM_BINDGEN/bin"
rialto_path "$RIALTO_TOOLS/cargo-leptos-$RIALTO_CARGO_LEPTOS/bin"
export PATH

# The browser for the end-to-end tests: the caller's choice, or the first one found. Ubuntu's chromium-browser is a
# stub that only asks for a snap, so a script that says "snap" does not count.
if [ -z "${RIALTO_CHROMIUM:-}" ]; then
    for rialto_name in chromium google-chrome google-chrome-stable chromium-browser; do
        rialto_found=$(command -v "$rialto_name") || continue
        case "$rialto_found" in
            */chromium-browser) grep -qs 'snap' "$rialto_found" && continue ;;
        esac
        RIALTO_CHROMIUM=$rialto_found
        break
    done
fi
export RIALTO_CHROMIUM="${RIALTO_CHROMIUM:-}"

export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
unset rialto_name rialto_found
