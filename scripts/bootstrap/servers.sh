# shellcheck shell=bash
# Installs the servers that tests start for themselves: PostgreSQL for the store, NATS and nginx for several nodes.
# Only the programs are installed; no service is left running. Sourced by scripts/bootstrap.sh, after apt.sh.

# Debian's package creates and starts a cluster unless this file says no. An existing cluster is kept.
disable_main_cluster() {
    local folder=/etc/postgresql-common/createcluster.d
    run_as_root mkdir -p "$folder"
    echo "create_main_cluster = false" | run_as_root tee "$folder/rialto.conf"
}

ensure_postgresql() {
    ! scripts/postgres.sh check 2>/dev/null || return 0
    if can_use_apt; then
        run_step "PostgreSQL: disabling the default cluster" disable_main_cluster || true
        install_packages "for the store tests" postgresql || return 0
    fi
    local missing
    missing=$(scripts/postgres.sh check 2>&1) ||
        add_problem "$missing" "install Debian's package postgresql, or PostgreSQL 15 or newer"
}

# ensure_nats_and_nginx PURPOSE: nginx balances the browser tests, so only "test" needs it.
ensure_nats_and_nginx() {
    local purpose=$1 wanted=() name
    # Debian installs both outside an ordinary user's PATH.
    PATH=$PATH:/usr/sbin has_command nats-server || wanted+=(nats-server)
    [ "$purpose" != test ] || PATH=$PATH:/usr/sbin has_command nginx || wanted+=(nginx)
    [ "${#wanted[@]}" -gt 0 ] || return 0
    install_packages "for the tests of several nodes" "${wanted[@]}" || return 0
    # Debian's packages start their services where systemd runs.
    [ -d /run/systemd/system ] || return 0
    for name in "${wanted[@]}"; do
        run_as_root systemctl disable --now "$name" >/dev/null 2>&1 || true
    done
}
