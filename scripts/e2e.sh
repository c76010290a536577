#!/usr/bin/env bash
# Runs the browser tests against the release build: e2e.sh [--nodes N] [PLAYWRIGHT ARGUMENT...]
# The tests start the program themselves, each its own; the last line says how many passed and how many failed.
#
#   --nodes N   each test has so many programs, behind nginx and on one PostgreSQL database, instead of one
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
# What wants the machine to itself (@alone) comes last.
run() {
    local status=0
    playwright test --pass-with-no-tests "$@" || status=$?
    RIALTO_E2E_ALONE=1 playwright test --pass-with-no-tests "$@" || status=$?
    exit "$status"
}
case "${1:-}" in
    --nodes) ;;
    # From here, where the servers that several nodes need are there.
    --run) run "${@:2}" ;;
    *) run "$@" ;;
esac
export RIALTO_E2E_NODES=$2
shift 2

# One NATS server for all tests: a community hears only itself.
export RIALTO_TEST_BUS
for port in $(shuf -i 20000-31999 -n 20); do
    PATH=$PATH:/usr/sbin setpriv --pdeathsig KILL nats-server --addr 127.0.0.1 --port "$port" >/dev/null 2>&1 &
    nats=$!
    trap 'kill "$nats" 2>/dev/null || true' EXIT
    for _ in {1..50}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            # Another program may have had the port.
            kill -0 "$nats" 2>/dev/null || break
            RIALTO_TEST_BUS=nats://127.0.0.1:$port
            ../scripts/postgres.sh with ../scripts/e2e.sh --run "$@"
            exit
        fi
        kill -0 "$nats" 2>/dev/null || break
        sleep 0.1
    done
done
echo "nats-server does not start: is it installed? (scripts/bootstrap.sh test)" >&2
exit 1
