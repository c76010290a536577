#!/usr/bin/env bash
# Runs the browser tests and closes with a plain line of counts: e2e.sh [PLAYWRIGHT ARGUMENT...]
# Playwright's own configuration starts the server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../end2end"

report=test-results/report.json
status=0
rm -f "$report"
PLAYWRIGHT_JSON_OUTPUT_FILE=$report playwright test --reporter=list,json "$@" || status=$?
if [ ! -s "$report" ]; then
    echo "Playwright left no report" >&2
    exit 1
fi
# shellcheck disable=SC2016 # the ${...} are JavaScript's
node -e '
    const { stats } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
    console.log(`Playwright: ${stats.expected + stats.flaky} passed, ${stats.unexpected} failed, ${stats.skipped} skipped`);
    if (stats.flaky > 0) console.log(`(${stats.flaky} of them only when tried again)`);
' "$report"
exit "$status"
