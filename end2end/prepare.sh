#!/bin/sh
# Installs what the browser tests need: npm's packages and a browser, where the system has none.
set -eu
cd "$(dirname "$0")"
[ -d node_modules/@playwright/test ] || npm ci --no-audit --no-fund
for browser in "${RIALTO_CHROMIUM:-}" chromium google-chrome google-chrome-stable; do
    [ -z "$browser" ] || ! command -v "$browser" >/dev/null || exit 0
done
npx playwright install chromium
