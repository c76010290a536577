#!/usr/bin/env bash
# Runs the browser tests: e2e.sh [--nodes N] [PLAYWRIGHT ARGUMENT...]
# The tests start the program themselves, each its own; the last line says how many passed and how many failed.
#
#   --nodes N   each test has so many programs, behind nginx and on one PostgreSQL database, instead of one
#
#   RIALTO_BIN, LEPTOS_SITE_ROOT   the program and its browser files; default: the debug build that the integration tests have too, and
#                                  what scripts/build.sh has put into target/site
#   RIALTO_E2E_WORKERS             how many tests run at a time
#   RIALTO_SCREENSHOT=1            renews docs/screenshot.png
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -z "${RIALTO_BIN:-}" ]; then
    if [ ! -f target/release/hash.txt ]; then
        echo "target/site is not there: run \`make site\` first" >&2
        exit 1
    fi
    cargo build --quiet --locked
    # The program finds the names of the browser's files beside itself.
    mkdir -p target/e2e
    ln -f target/debug/rialto target/release/hash.txt target/e2e/
    export RIALTO_BIN=$PWD/target/e2e/rialto
fi
cd end2end
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
