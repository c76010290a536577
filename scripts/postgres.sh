#!/usr/bin/env bash
# Runs a temporary PostgreSQL server for tests, with a data folder and a port of its own.
#
#   postgres.sh with COMMAND [ARGUMENT...]   runs the command beside a new server, which is removed afterwards, with
#                                              RIALTO_TEST_STORE=postgres
#                                              RIALTO_TEST_DATABASE_URL=postgres://rialto:...@127.0.0.1:PORT/postgres
#   postgres.sh check                        fails with a message if no suitable PostgreSQL is installed
#   postgres.sh init FOLDER                  creates a new data folder; prints the password of its user "rialto"
#   postgres.sh run FOLDER PORT [OPTION...]  becomes the server of that folder, on 127.0.0.1 only;
#                                              SIGINT shuts it down, SIGQUIT at once
#
# The machine's own servers and port 5432 are not touched. PostgreSQL refuses to run as root, so root runs it as
# "postgres", the user that Debian's package creates.
#
#   RIALTO_POSTGRES_BIN   folder of initdb and postgres; default: the newest under /usr/lib/postgresql, or PATH
set -euo pipefail

min_postgres_version=15

fail() {
    echo "postgres.sh: $1" >&2
    exit 1
}

# Sets RIALTO_POSTGRES_BIN, and run_as_postgres, the command prefix that changes the user.
find_postgres_binaries() {
    local initdb version
    if [ -z "${RIALTO_POSTGRES_BIN:-}" ]; then
        RIALTO_POSTGRES_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
        if [ ! -x "$RIALTO_POSTGRES_BIN/initdb" ]; then
            initdb=$(command -v initdb) ||
                fail "no PostgreSQL $min_postgres_version or newer (no initdb under /usr/lib/postgresql or on PATH).
Install it (\`scripts/bootstrap.sh test\` uses apt), or name the folder of its programs in RIALTO_POSTGRES_BIN."
            RIALTO_POSTGRES_BIN=$(dirname "$initdb")
        fi
    fi
    version=$("$RIALTO_POSTGRES_BIN/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    [ "$version" -ge "$min_postgres_version" ] ||
        fail "PostgreSQL $version in $RIALTO_POSTGRES_BIN is too old: Rialto needs $min_postgres_version or newer."
    run_as_postgres=()
    if [ "$(id -u)" -eq 0 ]; then
        id postgres >/dev/null 2>&1 ||
            fail "PostgreSQL does not run as root, and there is no user \"postgres\" to run it as."
        run_as_postgres=(setpriv --reuid=postgres --regid=postgres --init-groups)
    fi
}

init() {
    local folder=$1 password
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    mkdir -p "$folder"
    chmod 700 "$folder"
    printf '%s\n' "$password" >"$folder.password"
    if [ "${#run_as_postgres[@]}" -gt 0 ]; then
        chown postgres: "$folder" "$folder.password"
    fi
    (cd / && "${run_as_postgres[@]}" "$RIALTO_POSTGRES_BIN/initdb" --pgdata="$folder" --username=rialto \
        --pwfile="$folder.password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync) \
        >"$folder.log" 2>&1 ||
        { cat "$folder.log" >&2 && fail "initdb failed"; }
    rm -f "$folder.password"
    printf '%s\n' "$password"
}

# The server ends with its parent process, even if that is killed.
run() {
    local folder=$1 port=$2
    shift 2
    cd /
    exec "${run_as_postgres[@]}" setpriv --pdeathsig INT -- "$RIALTO_POSTGRES_BIN/postgres" -D "$folder" -p "$port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c logging_collector=off "$@"
}

# Prints a port on which nothing listens now. Another process may still take it before the server does.
find_free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

server_pid=
temp_folder=
stop_and_clean_up() {
    local status=$?
    trap - EXIT INT TERM HUP
    if [ -n "$server_pid" ] && kill -QUIT "$server_pid" 2>/dev/null; then
        wait "$server_pid" 2>/dev/null || true
    fi
    [ -z "$temp_folder" ] || rm -rf "$temp_folder"
    exit "$status"
}

with() {
    local password port
    temp_folder=$(mktemp -d)
    # The server's user must reach the data folder in it.
    chmod 711 "$temp_folder"
    trap stop_and_clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    password=$(init "$temp_folder/data")
    for _ in 1 2 3 4 5; do
        port=$(find_free_port)
        # The data need not survive a crash: durability tests start servers of their own. A short authentication_timeout
        # lets a test drop its database soon after an abandoned connection attempt; the default is a minute.
        (run "$temp_folder/data" "$port" -c fsync=off -c full_page_writes=off -c max_connections=1000 \
            -c authentication_timeout=5s) >"$temp_folder/log" 2>&1 &
        server_pid=$!
        while kill -0 "$server_pid" 2>/dev/null; do
            if PGCONNECT_TIMEOUT=1 "$RIALTO_POSTGRES_BIN/pg_isready" -q -h 127.0.0.1 -p "$port"; then
                export RIALTO_TEST_STORE=postgres
                export RIALTO_TEST_DATABASE_URL="postgres://rialto:$password@127.0.0.1:$port/postgres"
                "$@"
                return
            fi
            sleep 0.1
        done
        # Another process may have taken the port.
        wait "$server_pid" || true
        server_pid=
    done
    cat "$temp_folder/log" >&2
    fail "PostgreSQL does not start"
}

case "${1:-}" in
    check) find_postgres_binaries ;;
    with | init | run)
        [ "$#" -ge 2 ] || fail "$1 needs more arguments: see the head of this file"
        find_postgres_binaries
        "$@"
        ;;
    *) fail "usage: postgres.sh with COMMAND | check | init FOLDER | run FOLDER PORT" ;;
esac
