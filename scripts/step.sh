#!/usr/bin/env bash
# Runs one step of a recipe, saying what it is and how long it took: step.sh LABEL COMMAND [ARGUMENT...]
# Output and exit status are the command's own.
set -u

label=$1
shift
printf '==> %s\n' "$label"
started=$SECONDS
"$@"
status=$?
if [ "$status" -eq 0 ]; then
    printf '    done in %d s\n' "$((SECONDS - started))"
else
    printf '    FAILED (exit %d) after %d s: %s\n' "$status" "$((SECONDS - started))" "$*" >&2
fi
exit "$status"
