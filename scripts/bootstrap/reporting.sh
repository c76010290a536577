# shellcheck shell=bash
# Runs the steps of a set-up, each with a log of its own, and collects problems for one report at the end.
# Sourced by scripts/bootstrap.sh.

logs=$RIALTO_TOOLS/log
mkdir -p "$logs"
started_at=$SECONDS
step_count=0
problems=()

print_note() { printf '    %s\n' "$*"; }

# add_problem WHAT WHAT-TO-DO: keeps a problem for the report, so that one run shows all of them.
add_problem() {
    problems+=("$1"$'\n'"      -> $2")
}

# add_step_problem WHAT [MORE]: a problem whose cause is in the log of the last step.
add_step_problem() {
    add_problem "$1" "see $step_log${2:+, $2}"
}

has_problems() { [ "${#problems[@]}" -gt 0 ]; }

# Nothing writes to this pipe: `read -t` on it waits without a `sleep` process that could outlive this script.
exec 8<> <(:)
progress_pid=
trap '[ -z "$progress_pid" ] || kill "$progress_pid" 2>/dev/null' EXIT

# run_logged LABEL FUNCTION [ARGUMENT...]: runs the function with its output in a log, and sets $step_log.
# Progress is printed every 30 s, and the duration on success. The function runs in a new bash, because bash ignores
# `set -e` in every function that is called from a condition.
run_logged() {
    local label=$1 status=0 step_started_at=$SECONDS
    shift
    step_count=$((step_count + 1))
    step_log=$logs/$1${2:+-$2}.log
    printf '==> %s\n' "$label"
    : >"$step_log"
    (
        while ! read -r -t 30 -u 8; do
            kill -0 "$$" 2>/dev/null || exit 0
            print_note "... $((SECONDS - step_started_at)) s: $(last_log_line)"
        done
    ) &
    progress_pid=$!
    bash scripts/bootstrap.sh --inside "$@" >"$step_log" 2>&1 </dev/null 8<&- 9<&- || status=$?
    kill "$progress_pid" 2>/dev/null || true
    wait "$progress_pid" 2>/dev/null || true
    progress_pid=
    [ "$status" -ne 0 ] || print_note "done in $((SECONDS - step_started_at)) s"
    return "$status"
}

last_log_line() { tail -c 2000 "$step_log" | tr '\r' '\n' | sed -n 's/^ *//; /./h; $ { x; p; }' | cut -c1-110; }

# run_step LABEL FUNCTION [ARGUMENT...]: run_logged that also prints the end of the log on failure.
run_step() {
    local status=0
    run_logged "$@" || status=$?
    if [ "$status" -ne 0 ]; then
        print_note "FAILED (exit $status); the last lines of $step_log:"
        tail -n 30 "$step_log" | sed 's/^/    | /'
    fi
    return "$status"
}

report_and_exit() {
    if has_problems; then
        echo >&2
        echo "Set-up is not complete:" >&2
        printf '  * %s\n' "${problems[@]}" >&2
        exit 1
    fi
    if [ "$step_count" -gt 0 ]; then
        echo "==> Set-up complete in $((SECONDS - started_at)) s"
    fi
    exit 0
}
