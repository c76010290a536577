#!/usr/bin/env bash
# Installs what is missing to build, run or test Rialto: bootstrap.sh run|unit|test
#
#   run    the Rust toolchain, cargo tools and Node.js, for a build
#   unit   also PostgreSQL and NATS, for the unit and integration tests
#   test   also browsers, nginx and linters, for everything else that CI runs
#
# A run that finds nothing missing prints nothing and takes well under a second. A run after a failure repeats only what
# failed. Tools go to $RIALTO_TOOLS, which all clones share; system packages come from apt, with sudo where needed.
#
#   RIALTO_TOOLS          folder of tools and logs; default: ~/.cache/rialto
#   RIALTO_TOOLCHAIN      "distribution" skips rustup and uses Debian's compiler; default: the first that works
#   RIALTO_CHROMIUM       browser for the tests; default: the first one on PATH
#   RIALTO_POSTGRES_BIN   folder of PostgreSQL's programs for the tests (scripts/postgres.sh)
#
# Each step runs as `bootstrap.sh --inside FUNCTION [ARGUMENT...]` (scripts/bootstrap/reporting.sh).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
source scripts/env.sh
# shellcheck source=scripts/bootstrap/reporting.sh
source scripts/bootstrap/reporting.sh
# shellcheck source=scripts/bootstrap/apt.sh
source scripts/bootstrap/apt.sh
# shellcheck source=scripts/bootstrap/servers.sh
source scripts/bootstrap/servers.sh
# shellcheck source=scripts/bootstrap/rust.sh
source scripts/bootstrap/rust.sh
# shellcheck source=scripts/bootstrap/cargo-tools.sh
source scripts/bootstrap/cargo-tools.sh
# shellcheck source=scripts/bootstrap/nodejs.sh
source scripts/bootstrap/nodejs.sh
# shellcheck source=scripts/bootstrap/browser.sh
source scripts/bootstrap/browser.sh

# A function, so that bash has parsed all of it before the first step, in case this file changes during a run.
main() {
    local purpose
    case "${1:-}" in
        --inside)
            shift
            "$@"
            exit
            ;;
        run | unit | test) purpose=$1 ;;
        *)
            echo "usage: scripts/bootstrap.sh run|unit|test" >&2
            exit 2
            ;;
    esac

    # Clones share the tools folder, so one set-up runs at a time.
    if has_command flock; then
        exec 9>"$RIALTO_TOOLS/lock"
        if ! flock -n 9; then
            echo "==> Waiting for another set-up that uses $RIALTO_TOOLS"
            flock 9
        fi
    fi

    # Steps that fail quickly come before those that take minutes.
    install_base_packages "$purpose"
    ensure_nodejs_tools
    [ "$purpose" = run ] || { ensure_postgresql && ensure_nats_and_nginx "$purpose"; }
    [ "$purpose" != test ] || ensure_browser
    ! ensure_toolchain || ensure_cargo_tools "$purpose"
    report_and_exit
}

main "$@"
