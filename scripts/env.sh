# shellcheck shell=bash
# Puts the tools that scripts/bootstrap.sh selected or installed first on PATH. Every recipe sources it, from bash:
#
#     source scripts/env.sh
#
# It installs nothing, needs no network and leaves the shell's options alone. It reads from $RIALTO_TOOLS:
#
#   toolchain   first line: "default", "rustup NAME" or "distribution"; the rest identifies the verified compiler
#   node-N/     Node.js, where the system's is too old

RIALTO_TOOLS="${RIALTO_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/rialto}"
export RIALTO_TOOLS

# bootstrap.sh installs these versions. They are named nowhere else.
RIALTO_CARGO_DENY_VERSION=0.20.2
RIALTO_CARGO_LEPTOS_VERSION=0.3.11
RIALTO_LEPTOSFMT_VERSION=0.1.33
RIALTO_NODEJS_MAJOR=22

rialto_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# wasm-bindgen's command must have exactly the crate's version.
RIALTO_WASM_BINDGEN_VERSION=
if [ -f "$rialto_root/Cargo.lock" ]; then
    RIALTO_WASM_BINDGEN_VERSION=$(awk -F '"' '/^name = "wasm-bindgen"$/ { getline; print $2; exit }' \
        "$rialto_root/Cargo.lock")
fi

# A folder that is already elsewhere on PATH is put first all the same.
rialto_prepend_path() {
    case "$PATH" in
        "$1:"*) ;;
        *) PATH="$1:$PATH" ;;
    esac
}

# A shell that has not read rustup's profile does not know its folder.
if ! command -v rustup >/dev/null 2>&1 && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/rustup" ]; then
    rialto_prepend_path "${CARGO_HOME:-$HOME/.cargo}/bin"
fi

rialto_toolchain=
if [ -f "$RIALTO_TOOLS/toolchain" ]; then
    IFS= read -r rialto_toolchain <"$RIALTO_TOOLS/toolchain" || true
fi
case "$rialto_toolchain" in
    "rustup "*) export RUSTUP_TOOLCHAIN="${rialto_toolchain#rustup }" ;;
    distribution) rialto_prepend_path /usr/bin ;;
esac

if [ -x "$RIALTO_TOOLS/node-$RIALTO_NODEJS_MAJOR/bin/node" ]; then
    rialto_prepend_path "$RIALTO_TOOLS/node-$RIALTO_NODEJS_MAJOR/bin"
fi
rialto_prepend_path "$rialto_root/end2end/node_modules/.bin"
rialto_prepend_path "$RIALTO_TOOLS/wasm-bindgen-cli-$RIALTO_WASM_BINDGEN_VERSION/bin"
rialto_prepend_path "$RIALTO_TOOLS/cargo-deny-$RIALTO_CARGO_DENY_VERSION/bin"
rialto_prepend_path "$RIALTO_TOOLS/leptosfmt-$RIALTO_LEPTOSFMT_VERSION/bin"
rialto_prepend_path "$RIALTO_TOOLS/cargo-leptos-$RIALTO_CARGO_LEPTOS_VERSION/bin"
export PATH

# The browser tests use the caller's choice, or the first browser found. Ubuntu's chromium-browser is a script that asks
# for a snap, so a chromium-browser that mentions snaps is passed over.
if [ -z "${RIALTO_CHROMIUM:-}" ]; then
    for rialto_browser_name in chromium google-chrome google-chrome-stable chromium-browser; do
        rialto_browser_path=$(command -v "$rialto_browser_name") || continue
        case "$rialto_browser_path" in
            */chromium-browser) grep -qs 'snap' "$rialto_browser_path" && continue ;;
        esac
        RIALTO_CHROMIUM=$rialto_browser_path
        break
    done
fi
export RIALTO_CHROMIUM="${RIALTO_CHROMIUM:-}"

export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
unset rialto_browser_name rialto_browser_path
