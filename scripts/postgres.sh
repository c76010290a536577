#!/usr/bin/env bash
# A PostgreSQL of one's own, for tests: in a folder of its own, on a free port, gone when it is done.
#
#   postgres.sh with COMMAND [ARGUMENT...]   runs the command beside a new server, with
#                                              RIALTO_TEST_STORE=postgres
#                                              RIALTO_TEST_DATABASE_URL=postgres://rialto:...@127.0.0.1:PORT/postgres
#   postgres.sh check                        says in words if there is no PostgreSQL to do the rest with
#   postgres.sh init FOLDER                  makes a server's files in a new folder; prints the password of its user "rialto"
#   postgres.sh run FOLDER PORT [OPTION...]  becomes that server, on 127.0.0.1 alone: SIGINT stops it, SIGQUIT at once
#
# Neither the machine's own servers nor port 5432 are touched. PostgreSQL refuses to run as root: root runs it as "postgres",
# the user that Debian's package makes.
#
#   RIALTO_POSTGRES_BIN   the folder with initdb and postgres; default: the newest one under /usr/lib/postgresql, or PATH
set -euo pipefail

oldest=15

fail() {
    echo "postgres.sh: $1" >&2
    exit 1
}

find_programs() {
    local candidate
    if [ -z "${RIALTO_POSTGRES_BIN:-}" ]; then
        RIALTO_POSTGRES_BIN=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
        if [ ! -x "$RIALTO_POSTGRES_BIN/initdb" ]; then
            candidate=$(command -v initdb) || fail "there is no PostgreSQL $oldest or newer here (no initdb under /usr/lib/postgresql
or on PATH), and these tests need one. Install it (scripts/bootstrap.sh test does, with apt), or name the folder of its programs in
RIALTO_POSTGRES_BIN."
            RIALTO_POSTGRES_BIN=$(dirname "$candidate")
        fi
    fi
    local version
    version=$("$RIALTO_POSTGRES_BIN/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    [ "$version" -ge "$oldest" ] || fail "PostgreSQL $version in $RIALTO_POSTGRES_BIN is too old: Rialto needs $oldest or newer."
    as_user=()
    if [ "$(id -u)" -eq 0 ]; then
        id postgres >/dev/null 2>&1 || fail "PostgreSQL does not run as root, and there is no user \"postgres\" to run it as."
        as_user=(setpriv --reuid=postgres --regid=postgres --init-groups)
    fi
}

init() {
    local folder=$1 password
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    mkdir -p "$folder"
    chmod 700 "$folder"
    printf '%s\n' "$password" >"$folder.password"
    if [ "${#as_user[@]}" -gt 0 ]; then
        chown postgres: "$folder" "$folder.password"
    fi
    (cd / && "${as_user[@]}" "$RIALTO_POSTGRES_BIN/initdb" --pgdata="$folder" --username=rialto --pwfile="$folder.password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync) >"$folder.log" 2>&1 ||
        { cat "$folder.log" >&2 && fail "initdb failed"; }
    rm -f "$folder.password"
    printf '%s\n' "$password"
}

# Ends with whoever started it, even one that is killed.
run() {
    local folder=$1 port=$2
    shift 2
    cd /
    exec "${as_user[@]}" setpriv --pdeathsig INT -- "$RIALTO_POSTGRES_BIN/postgres" -D "$folder" -p "$port" \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c logging_collector=off "$@"
}

# A port on which nothing listens now; whoever takes it first has it.
free_port() {
    local port
    while true; do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

server=
folder=
tidy() {
    local status=$?
    trap - EXIT INT TERM HUP
    if [ -n "$server" ] && kill -QUIT "$server" 2>/dev/null; then
        wait "$server" 2>/dev/null || true
    fi
    [ -z "$folder" ] || rm -rf "$folder"
    exit "$status"
}

with() {
    local password port
    folder=$(mktemp -d)
    # For the user who runs it.
    chmod 711 "$folder"
    trap tidy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    password=$(init "$folder/data")
    for _ in 1 2 3 4 5; do
        port=$(free_port)
        # Nothing here outlives the run, so nothing need be on disk; the tests of durability have a server of their own.
        # And a test that ends while something of it connects drops its database beside a connection that says no more. PostgreSQL
        # waits with that until it has given the connection up: after a minute, if it is not told otherwise.
        (run "$folder/data" "$port" -c fsync=off -c full_page_writes=off -c max_connections=1000 -c authentication_timeout=5s) \
            >"$folder/log" 2>&1 &
        server=$!
        while kill -0 "$server" 2>/dev/null; do
            if PGCONNECT_TIMEOUT=1 "$RIALTO_POSTGRES_BIN/pg_isready" -q -h 127.0.0.1 -p "$port"; then
                export RIALTO_TEST_STORE=postgres
                export RIALTO_TEST_DATABASE_URL="postgres://rialto:$password@127.0.0.1:$port/postgres"
                "$@"
                return
            fi
            sleep 0.1
        done
        # The port was taken meanwhile, perhaps.
        wait "$server" || true
        server=
    done
    cat "$folder/log" >&2
    fail "PostgreSQL does not start"
}

case "${1:-}" in
    check) find_programs ;;
    with | init | run)
        [ "$#" -ge 2 ] || fail "$1 needs more: see the head of this file"
        find_programs
        "$@"
        ;;
    *) fail "with COMMAND, check, init FOLDER or run FOLDER PORT: see the head of this file" ;;
esac
