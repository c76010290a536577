#!/usr/bin/env bash
# Runs the browser tests against the release build: e2e.sh [PLAYWRIGHT ARGUMENT...]
# The tests start the program themselves, each its own; the last line says how many passed and how many failed.
#
#   RIALTO_BIN, LEPTOS_SITE_ROOT   another build than the release's: the program and its browser files
#   RIALTO_E2E_WORKERS             how many tests run at a time
#   RIALTO_SCREENSHOT=1            renews docs/screenshot.png
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../end2end"

program=${RIALTO_BIN:-../target/release/rialto}
if [ ! -x "$program" ]; then
    echo "$program is not there: run \`make build\` first" >&2
    exit 1
fi
exec playwright test "$@"
