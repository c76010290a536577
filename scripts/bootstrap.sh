#!/usr/bin/env bash
# Installs what is missing to build and run Rialto, or to test it: bootstrap.sh run|unit|test ("unit" without a browser)
#
# Where nothing is missing it takes well under a second and prints nothing. Everything that can live in user space goes
# to $RIALTO_TOOLS (the user's cache folder by default), which all clones share; the rest comes from apt, with sudo if
# need be. To run again after a failure costs only what failed.
#
#   RIALTO_TOOLS       where tools and logs go
#   RIALTO_TOOLCHAIN   "distribution" skips rustup and takes Debian's compiler; default: whatever works first
#   RIALTO_CHROMIUM    the browser for the tests
#   RIALTO_POSTGRES_BIN  the folder of the PostgreSQL programs for the tests (scripts/postgres.sh)
# Functions that `attempt` starts by name look unreachable to shellcheck.
# shellcheck disable=SC2317
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
source scripts/env.sh

logs=$RIALTO_TOOLS/log
mkdir -p "$logs"
began=$SECONDS
steps=0
problems=()

# ---------------------------------------------------------------------------------------------------------------------
# Saying what happens
# ---------------------------------------------------------------------------------------------------------------------

note() { printf '    %s\n' "$*"; }

# problem WHAT WHAT-TO-DO: remembered for the end, so that one run shows all that is wrong.
problem() {
    problems+=("$1"$'\n'"      -> $2")
}

# An open pipe that nobody writes to: `read -t` on it waits without a `sleep` process that could outlive us.
exec 8<> <(:)
heartbeat=
trap '[ -z "$heartbeat" ] || kill "$heartbeat" 2>/dev/null' EXIT

# attempt LABEL FUNCTION [ARGUMENT...]: runs it with its output in a log, a line every half minute and the time at the
# end. Sets $attempt_log. The function runs in a bash of its own, because `set -e` means nothing to a function that is
# called from a condition, however deep.
attempt() {
    local label=$1 status=0 started=$SECONDS
    shift
    steps=$((steps + 1))
    attempt_log=$logs/$1${2:+-$2}.log
    printf '==> %s\n' "$label"
    : >"$attempt_log"
    (
        while ! read -r -t 30 -u 8; do
            kill -0 "$$" 2>/dev/null || exit 0
            note "... $((SECONDS - started)) s: $(last_line)"
        done
    ) &
    heartbeat=$!
    bash scripts/bootstrap.sh --inside "$@" >"$attempt_log" 2>&1 </dev/null 8<&- 9<&- || status=$?
    kill "$heartbeat" 2>/dev/null || true
    wait "$heartbeat" 2>/dev/null || true
    heartbeat=
    [ "$status" -ne 0 ] || note "done in $((SECONDS - started)) s"
    return "$status"
}

last_line() { tail -c 2000 "$attempt_log" | tr '\r' '\n' | sed -n 's/^ *//; /./h; $ { x; p; }' | cut -c1-110; }

# step LABEL FUNCTION [ARGUMENT...]: an attempt whose failure is worth its log's last lines.
step() {
    local status=0
    attempt "$@" || status=$?
    if [ "$status" -ne 0 ]; then
        note "FAILED (exit $status); the last lines of $attempt_log:"
        tail -n 30 "$attempt_log" | sed 's/^/    | /'
    fi
    return "$status"
}

finish() {
    if [ "${#problems[@]}" -gt 0 ]; then
        echo >&2
        echo "Set-up is not complete:" >&2
        printf '  * %s\n' "${problems[@]}" >&2
        exit 1
    fi
    if [ "$steps" -gt 0 ]; then
        echo "==> Set-up complete in $((SECONDS - began)) s"
    fi
    exit 0
}

have() { command -v "$1" >/dev/null 2>&1; }

# at_least WANTED FOUND: compares dotted versions.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# ---------------------------------------------------------------------------------------------------------------------
# apt
# ---------------------------------------------------------------------------------------------------------------------

as_root=()
can_apt=yes
have apt-get || can_apt=
if [ "$(id -u)" -ne 0 ]; then
    if have sudo; then as_root=(sudo); else can_apt=; fi
fi

# Prints the version apt would install, or nothing. Debian's "(none)" and a name apt does not know are both nothing.
apt_candidate() {
    have apt-cache || return 0
    LC_ALL=C apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# sudo forgets the environment, so what apt needs goes through env. --no-remove: no package of the user's own is ever
# given up for one of ours.
apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 -o Dpkg::Lock::Timeout=120 "$@"
}

apt_update() {
    apt_get update
}

apt_install() {
    apt_get install -y --no-remove --no-install-recommends "$@"
}

# Package lists go stale: they are fetched once a run, and only by a run that installs something.
apt_lists_fresh=
fresh_lists() {
    [ -n "$can_apt" ] || return 0
    [ -z "$apt_lists_fresh" ] || return 0
    apt_lists_fresh=yes
    step "Package lists" apt_update || note "going on with the lists this machine has"
}

# install_packages WHY PACKAGE...: true if all of them are there afterwards.
install_packages() {
    local why=$1
    shift
    if [ -z "$can_apt" ]; then
        problem "missing, and neither root nor sudo nor apt to install it: $*" "install these (Debian's names), then run this again"
        return 1
    fi
    fresh_lists
    if ! step "Packages $why: $*" apt_install "$@"; then
        problem "apt could not install: $*" "see $attempt_log"
        return 1
    fi
}

# ---------------------------------------------------------------------------------------------------------------------
# What every build needs
# ---------------------------------------------------------------------------------------------------------------------

base_packages() {
    local wanted=()
    { have cc && have make; } || wanted+=(build-essential)
    have pkg-config || wanted+=(pkg-config)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || wanted+=(ca-certificates)
    have node || wanted+=(nodejs)
    have npm || wanted+=(npm)
    if [ "$purpose" = test ]; then
        have shellcheck || wanted+=(shellcheck)
        # For calls between networks that keep each other out. Debian puts them where only root looks.
        PATH=$PATH:/usr/sbin:/sbin have ip || wanted+=(iproute2)
        PATH=$PATH:/usr/sbin:/sbin have iptables || wanted+=(iptables)
        have python3 || wanted+=(python3)
        # To record what comes out of a speaker. A machine that has sound already keeps it as it is.
        have pulseaudio || have pipewire || wanted+=(pulseaudio)
        have parec || wanted+=(pulseaudio-utils)
    fi
    [ "${#wanted[@]}" -eq 0 ] || install_packages "for the build" "${wanted[@]}" || true
}

# ---------------------------------------------------------------------------------------------------------------------
# PostgreSQL, for the tests of the store: only its programs. The tests start servers of their own.
# ---------------------------------------------------------------------------------------------------------------------

# Debian's package makes a cluster and starts it, unless this says not to. A machine that has one keeps it.
no_main_cluster() {
    local folder=/etc/postgresql-common/createcluster.d
    "${as_root[@]}" mkdir -p "$folder"
    echo "create_main_cluster = false" | "${as_root[@]}" tee "$folder/rialto.conf"
}

postgresql() {
    # It finds the programs and says what it misses.
    ! scripts/postgres.sh check 2>/dev/null || return 0
    if [ -n "$can_apt" ]; then
        step "PostgreSQL: no cluster but those of the tests" no_main_cluster || true
        install_packages "for the tests of the store" postgresql || return 0
    fi
    local missing
    missing=$(scripts/postgres.sh check 2>&1) || problem "$missing" "install Debian's package postgresql, or PostgreSQL 15 or newer"
}

# ---------------------------------------------------------------------------------------------------------------------
# NATS and nginx, for the tests of several nodes: only their programs, as with PostgreSQL.
# ---------------------------------------------------------------------------------------------------------------------

nats_and_nginx() {
    local wanted=() name
    # Debian puts them where only root looks.
    PATH=$PATH:/usr/sbin have nats-server || wanted+=(nats-server)
    [ "$purpose" != test ] || PATH=$PATH:/usr/sbin have nginx || wanted+=(nginx)
    [ "${#wanted[@]}" -gt 0 ] || return 0
    install_packages "for the tests of several nodes" "${wanted[@]}" || return 0
    # Where services run, Debian's packages start them, which nobody asked for.
    [ -d /run/systemd/system ] || return 0
    for name in "${wanted[@]}"; do
        "${as_root[@]}" systemctl disable --now "$name" >/dev/null 2>&1 || true
    done
}

# ---------------------------------------------------------------------------------------------------------------------
# The Rust toolchain: one compiler for server and browser, with clippy and rustfmt
# ---------------------------------------------------------------------------------------------------------------------

wasm_target=wasm32-unknown-unknown
rust_wanted=$(awk -F '"' '/^rust-version *=/ { print $2; exit }' Cargo.toml)
rust_wanted=${rust_wanted:-1.88}

# What a verified choice is remembered with: when a compiler or its target changes, it is verified again.
toolchain_identity() {
    local sysroot
    sysroot=$(rustc --print sysroot 2>/dev/null) || return 1
    [ -d "$sysroot/lib/rustlib/$wasm_target/lib" ] || return 1
    printf '%s\n' "rust $rust_wanted or later"
    rustc -vV
}

rust_version() { rustc --version 2>/dev/null | awk '{ print $2; exit }' | sed 's/-.*//'; }

rust_new_enough() {
    local version
    version=$(rust_version)
    [ -n "$version" ] && at_least "$rust_wanted" "$version"
}

# Compiles, links and lints a trivial program for both targets. Slow as checks go (seconds), so its success is recorded.
verify_toolchain() {
    local crate=$RIALTO_TOOLS/check version clippy
    version=$(rust_version)
    if ! rust_new_enough; then
        echo "rustc is ${version:-missing}; Rialto needs $rust_wanted"
        return 1
    fi
    rm -rf "$crate"
    mkdir -p "$crate/src"
    printf '[package]\nname = "check"\nedition = "2024"\n[lib]\ncrate-type = ["cdylib", "rlib"]\n[workspace]\n' >"$crate/Cargo.toml"
    printf 'pub fn double(numbers: &[u32]) -> Vec<u32> {\n    numbers.iter().map(|n| n * 2).collect()\n}\n' >"$crate/src/lib.rs"
    # From the project's root, so that rustup's choice for this folder, if there is one, is the one that is checked.
    plain_cargo_environment
    export CARGO_TARGET_DIR=$crate/target
    set -- --offline --manifest-path "$crate/Cargo.toml"
    cargo build "$@"
    cargo build "$@" --target "$wasm_target"
    cargo clippy "$@" -- -D warnings
    cargo clippy "$@" --target "$wasm_target" -- -D warnings
    cargo fmt --manifest-path "$crate/Cargo.toml" --check
    # clippy 0.1.N belongs to rustc 1.N; a proxy on PATH could have run another toolchain's.
    clippy=$(cargo clippy --version | awk '{ print $2 }')
    if [ "$(cut -d. -f3 <<<"$clippy" | sed 's/-.*//')" != "$(cut -d. -f2 <<<"$version")" ]; then
        echo "cargo clippy is $clippy, which does not belong to rustc $version"
        return 1
    fi
    # And a lint it denies by default must stop it, on both targets: a clippy that lets this pass did not look.
    printf 'pub fn same(n: u32) -> bool {\n    n == n\n}\n' >>"$crate/src/lib.rs"
    if cargo clippy "$@" || cargo clippy "$@" --target "$wasm_target"; then
        echo "cargo clippy found nothing where it must"
        return 1
    fi
    rm -rf "$crate"
}

# A caller's settings for other builds are not ours.
plain_cargo_environment() { unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_DIR RUSTC RUSTC_WRAPPER; }

# record_toolchain CHOICE: written last, so it is only there for a choice that was verified.
record_toolchain() {
    { printf '%s\n' "$1" && toolchain_identity; } >"$RIALTO_TOOLS/toolchain.new"
    mv "$RIALTO_TOOLS/toolchain.new" "$RIALTO_TOOLS/toolchain"
}

# choose CHOICE LABEL: verifies the toolchain that the environment selects now.
choose() {
    step "Checking $2: both targets, clippy, rustfmt" verify_toolchain && record_toolchain "$1"
}

rustup_add_target() {
    timeout 900 rustup target add "$wasm_target"
    cargo clippy --version >/dev/null 2>&1 || timeout 300 rustup component add clippy
    cargo fmt --version >/dev/null 2>&1 || timeout 300 rustup component add rustfmt
}

rustup_install_stable() {
    timeout 1800 rustup toolchain install stable --profile minimal --no-self-update \
        --component clippy --component rustfmt --target "$wasm_target"
}

# A rustup that cannot download is no failure here: one line says so, and the distribution's compiler is next.
toolchain_by_rustup() {
    have rustup || return 1
    if rust_new_enough; then
        if attempt "rustup: $wasm_target for rustc $(rust_version)" rustup_add_target; then
            ! choose default "rustup's toolchain" || return 0
        fi
    elif attempt "rustup: stable with $wasm_target (rustc here: $(rust_version | grep . || echo none); needed: $rust_wanted)" \
        rustup_install_stable; then
        export RUSTUP_TOOLCHAIN=stable
        ! choose "rustup stable" "rustup's stable toolchain" || return 0
        unset RUSTUP_TOOLCHAIN
    fi
    note "not by rustup ($(last_line)); the distribution's compiler is next"
    return 1
}

# The standard library for wasm32, from the distribution's source package: cargo builds it as a dependency of an empty
# crate, and the results go to the sysroot, where they make every later build an ordinary one.
build_std() {
    local crate=$RIALTO_TOOLS/build-std into
    into=$(/usr/bin/rustc --print sysroot)/lib/rustlib/$wasm_target/lib
    rm -rf "$crate"
    mkdir -p "$crate/src"
    printf '[package]\nname = "empty"\nedition = "2024"\n[workspace]\n' >"$crate/Cargo.toml"
    echo '#![no_std]' >"$crate/src/lib.rs"
    cd "$crate"
    plain_cargo_environment
    RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO_TARGET_DIR=$crate/target /usr/bin/cargo build --release \
        --target "$wasm_target" -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test
    rm -f "target/$wasm_target/release/deps/"libempty-*.rlib
    "${as_root[@]}" mkdir -p "$into"
    "${as_root[@]}" rm -f "$into/"lib*.rlib
    "${as_root[@]}" cp "target/$wasm_target/release/deps/"lib*.rlib "$into/"
    rm -rf "$crate"
}

toolchain_by_distribution() {
    local llvm choice=distribution
    if [ -z "$can_apt" ]; then
        problem "no Rust toolchain with the $wasm_target target" "install rustup, or run this as root or with sudo"
        return 1
    fi
    fresh_lists
    if [ -z "$(apt_candidate rustc-web)" ] || ! at_least "$rust_wanted" "$(apt_candidate rustc-web)"; then
        problem "rustup could not provide Rust $rust_wanted with $wasm_target, and this distribution has no such compiler" \
            "install Rust $rust_wanted or later with rustup and that target"
        return 1
    fi
    # rustc-web and a rustup package exclude each other. One that we installed a moment ago goes again; no other does.
    if [ -n "$rustup_from_apt" ]; then
        step "Removing the rustup package again" apt_get remove -y rustup || return 1
        hash -r
    fi
    install_packages "for the compiler" rustc-web cargo-web rust-web-src rust-web-llvm rust-web-clippy rustfmt-web || return 1
    # The linker for wasm is LLVM's; it must be of the compiler's own LLVM version.
    llvm=$(/usr/bin/rustc -vV | awk '$1 == "LLVM" { split($3, part, "."); print part[1] }')
    install_packages "for the linker" "lld-$llvm" || return 1

    # With rustup about, its proxies come first on PATH, so the choice must be one that rustup knows.
    if have rustup; then
        rustup toolchain link debian /usr
        export RUSTUP_TOOLCHAIN=debian
        choice="rustup debian"
    else
        rialto_path /usr/bin
        hash -r
    fi
    if ! echo | rustc --target "$wasm_target" --crate-type cdylib -o "$RIALTO_TOOLS/trivial.wasm" - 2>/dev/null; then
        if ! step "The standard library for $wasm_target (about a minute)" build_std; then
            problem "the standard library for $wasm_target did not build" "see $attempt_log"
            return 1
        fi
    fi
    rm -f "$RIALTO_TOOLS/trivial.wasm"
    if ! choose "$choice" "the distribution's toolchain"; then
        problem "the distribution's toolchain does not work" "see $attempt_log"
        return 1
    fi
}

rustup_from_apt=
toolchain() {
    case "${RIALTO_TOOLCHAIN:-}:$rialto_toolchain" in
        distribution:default | distribution:"rustup stable" | *:) ;;
        *) [ "$(tail -n +2 "$RIALTO_TOOLS/toolchain")" != "$(toolchain_identity)" ] || return 0 ;;
    esac
    # What env.sh selected is no longer good; what the caller selected may be.
    rm -f "$RIALTO_TOOLS/toolchain"
    [ "rustup ${RUSTUP_TOOLCHAIN:-}" != "$rialto_toolchain" ] || unset RUSTUP_TOOLCHAIN
    if [ "${RIALTO_TOOLCHAIN:-}" != distribution ]; then
        # What is there may do as it is, wherever it comes from.
        if rust_new_enough && toolchain_identity >/dev/null &&
            choose "${RUSTUP_TOOLCHAIN:+rustup }${RUSTUP_TOOLCHAIN:-default}" "the Rust toolchain that is there"; then
            return 0
        fi
        unset RUSTUP_TOOLCHAIN
        if ! have rustup && [ -n "$can_apt" ]; then
            fresh_lists
            if [ -n "$(apt_candidate rustup)" ] && step "Package: rustup" apt_install rustup; then
                rustup_from_apt=yes
            fi
        fi
        ! toolchain_by_rustup || return 0
    fi
    toolchain_by_distribution
}

# ---------------------------------------------------------------------------------------------------------------------
# Command-line tools from crates
# ---------------------------------------------------------------------------------------------------------------------

# cargo_tool NAME VERSION [OPTION...]: build tools do not miss their own release profile, which takes twice as long.
# With --locked first. Without it where the lock names a version that is not to be had, and in the end whatever compiler
# the crates ask for: many only declare a newer one (cargo-leptos 0.3.11 asks for 1.96 and builds with 1.95).
cargo_tool() {
    local name=$1 version=$2
    shift 2
    export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1
    plain_cargo_environment
    export CARGO_TARGET_DIR=$RIALTO_TOOLS/build
    set -- install "$name" --version "=$version" --root "$RIALTO_TOOLS/$name-$version" --force "$@"
    cargo "$@" --locked || cargo "$@" --locked --ignore-rust-version || cargo "$@" --ignore-rust-version
}

tools() {
    if [ ! -x "$RIALTO_TOOLS/cargo-leptos-$RIALTO_CARGO_LEPTOS/bin/cargo-leptos" ]; then
        step "cargo-leptos $RIALTO_CARGO_LEPTOS (about ten minutes on two cores, once)" \
            cargo_tool cargo-leptos "$RIALTO_CARGO_LEPTOS" --features no_downloads ||
            problem "cargo-leptos did not build" "see $attempt_log"
    fi
    if [ -z "$RIALTO_WASM_BINDGEN" ]; then
        problem "Cargo.lock names no wasm-bindgen" "restore Cargo.lock from git"
    elif [ ! -x "$RIALTO_TOOLS/wasm-bindgen-cli-$RIALTO_WASM_BINDGEN/bin/wasm-bindgen" ]; then
        step "wasm-bindgen $RIALTO_WASM_BINDGEN (about three minutes, once)" \
            cargo_tool wasm-bindgen-cli "$RIALTO_WASM_BINDGEN" ||
            problem "wasm-bindgen-cli did not build" "see $attempt_log"
    fi
    [ "${#problems[@]}" -gt 0 ] || rm -rf "$RIALTO_TOOLS/build"
}

# ---------------------------------------------------------------------------------------------------------------------
# Node: wasm-opt for every release build; Playwright, ESLint and the rest for the tests
# ---------------------------------------------------------------------------------------------------------------------

node_major() { node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p'; }

# npm has node itself as a package, for distributions whose own is too old (Debian 12's and Ubuntu 24.04's are 18).
install_node() {
    local machine into=$RIALTO_TOOLS/node-$RIALTO_NODE_MAJOR
    case "$(uname -m)" in
        x86_64) machine=x64 ;;
        aarch64) machine=arm64 ;;
        *)
            echo "no node package for $(uname -m)"
            return 1
            ;;
    esac
    mkdir -p "$into"
    npm install --prefix "$into" --no-save --no-audit --no-fund "node-linux-$machine@$RIALTO_NODE_MAJOR"
    ln -sfn "node_modules/node-linux-$machine/bin" "$into/bin"
    "$into/bin/node" --version
}

npm_ci() {
    cd end2end
    npm ci --no-audit --no-fund
    sha256sum package-lock.json >node_modules/.rialto-installed
}

node_tools() {
    local major
    major=$(node_major)
    if [ -z "$major" ] || ! have npm; then
        problem "node and npm are missing" "install node 20 or later with npm"
        return
    fi
    if [ "$major" -lt 20 ]; then
        if ! step "node $RIALTO_NODE_MAJOR (the system's is $major; 20 is needed)" install_node; then
            problem "node is $major; the build needs 20 or later" "install a newer node"
            return
        fi
        rialto_path "$RIALTO_TOOLS/node-$RIALTO_NODE_MAJOR/bin"
        hash -r
    fi
    if ! (cd end2end && sha256sum --check --status node_modules/.rialto-installed) 2>/dev/null; then
        step "npm packages in end2end/" npm_ci || problem "npm ci failed in end2end/" "see $attempt_log"
    fi
}

# ---------------------------------------------------------------------------------------------------------------------
# A browser and fonts, for the end-to-end tests
# ---------------------------------------------------------------------------------------------------------------------

try_browser() {
    local profile page
    profile=$(mktemp -d)
    page=$(timeout 60 "$RIALTO_CHROMIUM" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$profile" \
        --dump-dom 'data:text/html,<p>it works</p>')
    rm -rf "$profile"
    echo "$page"
    grep -q 'it works' <<<"$page"
}

browser() {
    local packages=() candidate
    if [ -z "$RIALTO_CHROMIUM" ]; then
        [ -z "$can_apt" ] || fresh_lists
        candidate=$(apt_candidate chromium)
        case "$candidate" in
            "" | *snap*)
                problem "no Chromium, and this distribution has none to install (Ubuntu's is a snap, which Playwright cannot drive)" \
                    "install a Chrome or Chromium package that is not a snap, or name a browser in RIALTO_CHROMIUM"
                return
                ;;
        esac
        packages+=(chromium)
    fi
    # Text, and the emoji that people react with: without a font they are empty boxes in every screenshot.
    compgen -G '/usr/share/fonts/*/*/*.[to]tf' >/dev/null || packages+=(fonts-dejavu-core)
    [ -n "$(find /usr/share/fonts "$HOME/.fonts" "$HOME/.local/share/fonts" -iname '*emoji*' -print -quit 2>/dev/null)" ] ||
        packages+=(fonts-noto-color-emoji)
    # A second browser, for calls between the two: where there is none, those tests say that they are left out.
    if ! have firefox-esr && [ -n "$can_apt" ]; then
        fresh_lists
        [ -z "$(apt_candidate firefox-esr)" ] || packages+=(firefox-esr)
    fi
    if [ "${#packages[@]}" -gt 0 ]; then
        install_packages "for the browser tests" "${packages[@]}" || return 0
        # shellcheck source=scripts/env.sh
        source scripts/env.sh
    fi
    # Started once, by itself: a browser that cannot start would otherwise fail every test in its own way.
    if [ "$(cat "$RIALTO_TOOLS/browser" 2>/dev/null)" != "$(browser_identity)" ]; then
        if ! step "Checking the browser: $RIALTO_CHROMIUM" try_browser; then
            problem "$RIALTO_CHROMIUM does not start" "see $attempt_log, or name another in RIALTO_CHROMIUM"
            return
        fi
        browser_identity >"$RIALTO_TOOLS/browser"
    fi
}

browser_identity() { stat -L -c '%n %s %Y' "$RIALTO_CHROMIUM" 2>/dev/null || echo none; }

# ---------------------------------------------------------------------------------------------------------------------

# In a function, so that bash has read all of it before the first step, should this file change while it runs.
main() {
    case "${1:-}" in
        --inside)
            shift
            "$@"
            exit
            ;;
        run | unit | test) purpose=$1 ;;
        *)
            echo "usage: scripts/bootstrap.sh run|unit|test" >&2
            exit 2
            ;;
    esac

    # One set-up at a time: clones share the tools folder.
    if have flock; then
        exec 9>"$RIALTO_TOOLS/lock"
        if ! flock -n 9; then
            echo "==> Waiting for another set-up that uses $RIALTO_TOOLS"
            flock 9
        fi
    fi

    # What is quick to fail comes before what takes minutes.
    base_packages
    node_tools
    [ "$purpose" = run ] || { postgresql && nats_and_nginx; }
    [ "$purpose" != test ] || browser
    ! toolchain || tools
    finish
}

main "$@"
