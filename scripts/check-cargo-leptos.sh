#!/usr/bin/env bash
# Runs `cargo leptos end-to-end` and `cargo leptos watch` as a developer types them, on free ports and with a folder of their own.
# Fails unless the browser tests pass, the page and its program are served, and a change of a file is served within 60 s.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
source scripts/env.sh

folder=$(mktemp -d)
port=$(shuf -i 20000-29999 -n 1)
export RIALTO_DATA=$folder/data RIALTO_TURN_LISTEN=off
export LEPTOS_SITE_ADDR=127.0.0.1:$port LEPTOS_RELOAD_PORT=$((port + 1)) LEPTOS_SITE_ROOT=$PWD/target/debug-site
url=http://$LEPTOS_SITE_ADDR
watch_pid=
stop() {
    # Ctrl-C, as a developer stops it. Without job control, a background process would ignore SIGINT.
    [ -z "$watch_pid" ] || { kill -INT -- "-$watch_pid" && wait "$watch_pid"; } 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT

# The shortest tests instead of all. cargo-leptos reports success if the build fails, hence the second check.
LEPTOS_END2END_CMD="npm run smoke" cargo leptos end-to-end 2>&1 | tee "$folder/end-to-end.log"
grep -q '^[0-9]* passed, 0 failed' "$folder/end-to-end.log"

set -m
cargo leptos watch >"$folder/watch.log" 2>&1 &
watch_pid=$!
set +m

# wait_for SECONDS DESCRIPTION COMMAND...
wait_for() {
    local deadline=$((SECONDS + $1)) description=$2
    shift 2
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 40 "$folder/watch.log" >&2
            echo "cargo leptos watch: $description" >&2
            exit 1
        fi
        sleep 0.2
    done
}
fetch() { curl --silent --fail --max-time 5 "$url$1"; }
serves_program() {
    local program
    program=$(fetch / | grep -o '/pkg/[0-9a-f]*/rialto.wasm' | head -n 1) && [ -n "$program" ] &&
        fetch "$program" --head >/dev/null 2>&1
}
# Writes the file again every five seconds: cargo-leptos begins to watch a moment after it serves.
serves_probe() {
    [ $((SECONDS % 5)) -ne 0 ] || echo "$1" >public/watch-probe.txt
    [ "$(fetch /watch-probe.txt 2>/dev/null)" = "$1" ]
}

links_replaceable_style() {
    fetch / | grep 'href="/pkg/rialto.css' >/dev/null && fetch /pkg/rialto.css >/dev/null
}

wait_for 600 "no page with a program within 600 s" serves_program
wait_for 5 "the page's style sheet cannot be replaced by cargo-leptos" links_replaceable_style
trap 'rm -f public/watch-probe.txt; stop' EXIT
wait_for 60 "a new file was not served within 60 s" serves_probe "$port"
echo "    cargo leptos end-to-end and watch: checked"
