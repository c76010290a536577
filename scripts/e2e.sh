#!/usr/bin/env bash
# Runs the browser tests: e2e.sh [--nodes N] [PLAYWRIGHT ARGUMENT...]
# Each test starts a program of its own. The last line counts passed and failed tests.
#
#   --nodes N   runs the tests tagged @nodes; each starts N nodes behind nginx, on one PostgreSQL database, instead of one program
#
#   RIALTO_BIN            program to test; default: the debug build, which the integration tests use as well
#   LEPTOS_SITE_ROOT      its browser files; default: target/site, from scripts/build.sh
#   RIALTO_E2E_WORKERS    number of parallel tests
#   RIALTO_E2E_LONG=1     runs the tests tagged @long instead of all others
#   RIALTO_SCREENSHOT=1   updates docs/images, with tests/screenshots.spec.ts
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -z "${RIALTO_BIN:-}" ]; then
    if [ ! -d target/site/pkg ]; then
        echo "target/site does not exist: run \`make site\` first" >&2
        exit 1
    fi
    cargo build --quiet --locked
    export RIALTO_BIN=$PWD/target/debug/rialto
fi
cd end2end

list_tests() {
    playwright test --list "$@" 2>/dev/null || true
    RIALTO_E2E_EXCLUSIVE=1 playwright test --list "$@" 2>/dev/null || true
}

# Tests tagged @exclusive need the machine to themselves, so they run after all others.
run_playwright() {
    local status=0
    # A mistyped name must not pass.
    if ! list_tests "$@" | grep '^Total: [1-9]' >/dev/null; then
        playwright test --list "$@" || true
        echo "no browser test matches: $*" >&2
        exit 1
    fi
    playwright test --pass-with-no-tests "$@" || status=$?
    RIALTO_E2E_EXCLUSIVE=1 playwright test --pass-with-no-tests "$@" || status=$?
    exit "$status"
}

case "${1:-}" in
    --nodes) ;;
    # This script calls itself with --run once PostgreSQL and NATS are running.
    --run) run_playwright "${@:2}" ;;
    *) run_playwright "$@" ;;
esac
export RIALTO_E2E_NODES=$2
shift 2

# All tests share one NATS server. Its subjects keep the communities apart.
export RIALTO_TEST_BUS
for port in $(shuf -i 20000-31999 -n 20); do
    PATH=$PATH:/usr/sbin setpriv --pdeathsig KILL nats-server --addr 127.0.0.1 --port "$port" >/dev/null 2>&1 &
    nats_pid=$!
    trap 'kill "$nats_pid" 2>/dev/null || true' EXIT
    for _ in {1..50}; do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            # The port may belong to another program.
            kill -0 "$nats_pid" 2>/dev/null || break
            RIALTO_TEST_BUS=nats://127.0.0.1:$port
            ../scripts/postgres.sh with ../scripts/e2e.sh --run "$@"
            exit
        fi
        kill -0 "$nats_pid" 2>/dev/null || break
        sleep 0.1
    done
done
echo "nats-server does not start: is it installed? (scripts/bootstrap.sh test)" >&2
exit 1
