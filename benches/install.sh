#!/usr/bin/env bash
# Installs what the benchmark compares Rialto with or needs, as far as it is missing: nginx with Nchan, Pushpin and so on from
# Debian, Socket.IO from npm. Each is optional; what cannot be installed is said, and the benchmark goes on without it.
#
#     benches/install.sh           what is missing
#     BENCH_INSTALL=0 make bench   nothing: only what is there is measured
set -euo pipefail

if [ "${BENCH_INSTALL:-1}" = 0 ]; then
    exit 0
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

missing=()
for package in nginx-light libnginx-mod-nchan pushpin sqlite3 iproute2 util-linux postgresql nats-server; do
    if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
        # Any nginx will do.
        if [ "$package" = nginx-light ] && command -v nginx >/dev/null; then
            continue
        fi
        missing+=("$package")
    fi
done
if [ "${#missing[@]}" -gt 0 ]; then
    root=()
    if [ "$(id -u)" -ne 0 ]; then
        root=(sudo -n)
    fi
    echo "==> Installing ${missing[*]}"
    "${root[@]}" apt-get update -qq || echo "apt-get update failed; trying with what is known"
    for package in "${missing[@]}"; do
        # The benchmark starts private instances; the ones that Debian would start are not wanted.
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
            apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
            echo "$package could not be installed; what needs it is left out"
    done
fi

if [ ! -d "$here/peers/socket-io/node_modules/socket.io" ]; then
    if command -v npm >/dev/null; then
        echo "==> Installing Socket.IO"
        npm --prefix "$here/peers/socket-io" ci --silent --no-audit --no-fund ||
            echo "Socket.IO could not be installed; it is left out"
    else
        echo "There is no npm; Socket.IO is left out"
    fi
fi
