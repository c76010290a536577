#!/usr/bin/env bash
# Checks licences, sources, versions and known vulnerabilities of all dependencies: crates with cargo-deny (deny.toml), npm packages with npm.
#
#   REQUIRE_ADVISORIES=1   fails where the advisories cannot be fetched, instead of saying so
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0
report_problem() {
    echo "    $*" >&2
    failed=1
}
report_checked() { echo "    checked: $*"; }
report_unreachable() {
    if [ "${REQUIRE_ADVISORIES:-0}" = 1 ]; then
        report_problem "$*"
    else
        echo "    skipped: $*"
    fi
}

deny() { cargo deny --log-level error --locked --workspace "$@"; }

# An exception that is no longer needed fails too.
strict=(-D unmatched-skip -D unnecessary-skip -D license-not-encountered -D license-exception-not-encountered)
if deny --offline check "${strict[@]}" bans licenses sources; then
    report_checked "crates: licences, sources, versions"
else
    report_problem "crates: a licence, a source or a version that deny.toml does not allow"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! GIT_TERMINAL_PROMPT=0 timeout --kill-after=5 60 cargo deny fetch db >"$log" 2>&1; then
    report_unreachable "crates, known vulnerabilities: the RustSec database cannot be fetched ($(grep . "$log" | tail -n 1 || true))"
elif deny check advisories; then
    report_checked "crates: known vulnerabilities"
else
    report_problem "crates: a known vulnerability. Update the crate, or add it to deny.toml with the reason why it does no harm"
fi

# A report has "vulnerabilities"; an error has a message instead.
for lock in end2end benches/lighthouse benches/peers/socket-io; do
    if npm --prefix "$lock" audit --package-lock-only --json >"$log" 2>/dev/null; then
        report_checked "npm packages of $lock: known vulnerabilities"
    elif grep -q '"auditReportVersion"' "$log"; then
        npm --prefix "$lock" audit --package-lock-only >&2 || true
        report_problem "npm packages of $lock: a known vulnerability. Update the package (npm --prefix $lock audit fix)"
    else
        why=$(sed -n 's/^ *"\(message\|summary\)": "\(.*\)",\{0,1\}$/\2/p' "$log" | head -n 1 | sed 's, - [A-Z]* http.*,,')
        report_unreachable "npm packages of $lock, known vulnerabilities: npm's audit does not answer (${why:-no message})"
    fi
done
exit "$failed"
