#!/usr/bin/env bash
# Runs a command as a labelled step and prints how long it took: step.sh LABEL COMMAND [ARGUMENT...]
# Output and exit status are the command's own.
set -u

label=$1
shift
printf '==> %s\n' "$label"
started_at=$SECONDS
"$@"
status=$?
if [ "$status" -eq 0 ]; then
    printf '    done in %d s\n' "$((SECONDS - started_at))"
else
    printf '    FAILED (exit %d) after %d s: %s\n' "$status" "$((SECONDS - started_at))" "$*" >&2
fi
exit "$status"
