#!/usr/bin/env bash
# Installs what the benchmark needs and is missing: nginx with Nchan, Pushpin and others with apt, Socket.IO with npm.
# Each of them is optional. What cannot be installed is reported, and the benchmark skips it.
#
#   BENCH_INSTALL=0   installs nothing; only what is already installed is measured
set -euo pipefail

if [ "${BENCH_INSTALL:-1}" = 0 ]; then
    exit 0
fi
socket_io=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/peers/socket-io

missing=()
for package in nginx-light libnginx-mod-nchan pushpin sqlite3 iproute2 util-linux postgresql nats-server; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        # Any nginx is good enough.
        if [ "$package" = nginx-light ] && command -v nginx >/dev/null; then
            continue
        fi
        missing+=("$package")
    fi
done
if [ "${#missing[@]}" -gt 0 ]; then
    run_as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        run_as_root=(sudo -n)
    fi
    echo "==> Installing ${missing[*]}"
    "${run_as_root[@]}" apt-get update -qq ||
        echo "apt-get update failed; continuing with the package lists on this machine"
    for package in "${missing[@]}"; do
        # RUNLEVEL=1 keeps Debian from starting services. The benchmark starts its own.
        "${run_as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
            echo "$package could not be installed; what needs it is skipped"
    done
fi

if [ ! -d "$socket_io/node_modules/socket.io" ]; then
    if command -v npm >/dev/null; then
        echo "==> Installing Socket.IO"
        npm --prefix "$socket_io" ci --silent --no-audit --no-fund ||
            echo "Socket.IO could not be installed; it is skipped"
    else
        echo "npm is not installed; Socket.IO is skipped"
    fi
fi
