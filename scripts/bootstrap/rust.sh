# shellcheck shell=bash
# Selects a Rust toolchain for server and browser: the one on PATH (of rust-toolchain.toml, where rustup can install it; else rustup's
# default), then rustup's stable, then Debian's compiler.
# A choice is verified once and recorded in $RIALTO_TOOLS/toolchain, which scripts/env.sh reads.
# Sourced by scripts/bootstrap.sh, after apt.sh.

wasm_target=wasm32-unknown-unknown
min_rust_version=$(awk -F '"' '/^rust-version *=/ { print $2; exit }' Cargo.toml)
min_rust_version=${min_rust_version:-1.88}

# version_at_least MINIMUM VERSION: compares dotted versions.
version_at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

# Prints what a verified choice is recorded with. A choice whose identity has changed is verified again.
toolchain_identity() {
    local sysroot
    sysroot=$(rustc --print sysroot 2>/dev/null) || return 1
    [ -d "$sysroot/lib/rustlib/$wasm_target/lib" ] || return 1
    printf '%s\n' "rust $min_rust_version or later"
    rustc -vV
}

rust_version() { rustc --version 2>/dev/null | awk '{ print $2; exit }' | sed 's/-.*//' || true; }

is_rust_new_enough() {
    local version
    version=$(rust_version)
    [ -n "$version" ] && version_at_least "$min_rust_version" "$version"
}

# Compiles, links and lints a trivial crate for both targets. This takes seconds, so its success is recorded.
verify_toolchain() {
    local crate=$RIALTO_TOOLS/check version clippy
    version=$(rust_version)
    if ! is_rust_new_enough; then
        echo "rustc is ${version:-missing}; Rialto needs $min_rust_version"
        return 1
    fi
    rm -rf "$crate"
    mkdir -p "$crate/src"
    printf '[package]\nname = "check"\nedition = "2024"\n[lib]\ncrate-type = ["cdylib", "rlib"]\n[workspace]\n' \
        >"$crate/Cargo.toml"
    printf 'pub fn double(numbers: &[u32]) -> Vec<u32> {\n    numbers.iter().map(|n| n * 2).collect()\n}\n' \
        >"$crate/src/lib.rs"
    # The project's root stays the working folder, so that a rustup override for it applies here as well.
    unset_cargo_environment
    export CARGO_TARGET_DIR=$crate/target
    set -- --offline --manifest-path "$crate/Cargo.toml"
    cargo build "$@"
    cargo build "$@" --target "$wasm_target"
    cargo clippy "$@" -- -D warnings
    cargo clippy "$@" --target "$wasm_target" -- -D warnings
    cargo fmt --manifest-path "$crate/Cargo.toml" --check
    # clippy 0.1.N belongs to rustc 1.N. A proxy on PATH may run another toolchain's clippy.
    clippy=$(cargo clippy --version | awk '{ print $2 }')
    if [ "$(cut -d. -f3 <<<"$clippy" | sed 's/-.*//')" != "$(cut -d. -f2 <<<"$version")" ]; then
        echo "cargo clippy is $clippy, which does not belong to rustc $version"
        return 1
    fi
    # A clippy that accepts an error of its default lints did not check the crate.
    printf 'pub fn same(n: u32) -> bool {\n    n == n\n}\n' >>"$crate/src/lib.rs"
    if cargo clippy "$@" || cargo clippy "$@" --target "$wasm_target"; then
        echo "cargo clippy did not report an error that it must report"
        return 1
    fi
    rm -rf "$crate"
}

# The caller's settings for other builds must not change these.
unset_cargo_environment() {
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_DIR RUSTC RUSTC_WRAPPER
}

# record_toolchain CHOICE: replaces the file in one step, so that it only ever names a verified choice.
record_toolchain() {
    { printf '%s\n' "$1" && toolchain_identity; } >"$RIALTO_TOOLS/toolchain.new"
    mv "$RIALTO_TOOLS/toolchain.new" "$RIALTO_TOOLS/toolchain"
}

# verify_and_record_toolchain CHOICE LABEL: the toolchain is the one that the environment selects now.
verify_and_record_toolchain() {
    run_step "Checking $2: both targets, clippy, rustfmt" verify_toolchain && record_toolchain "$1"
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

# A rustup that cannot download is not a problem: one line reports it, and Debian's compiler is tried next.
install_toolchain_with_rustup() {
    local found
    has_command rustup || return 1
    found=$(rust_version)
    if is_rust_new_enough; then
        if run_logged "rustup: adding $wasm_target to rustc $found" rustup_add_target; then
            ! verify_and_record_toolchain default "rustup's toolchain" || return 0
        fi
    elif run_logged "rustup: installing stable ($min_rust_version or later is needed, found: ${found:-none})" \
        rustup_install_stable; then
        export RUSTUP_TOOLCHAIN=stable
        ! verify_and_record_toolchain "rustup stable" "rustup's stable toolchain" || return 0
        unset RUSTUP_TOOLCHAIN
    fi
    print_note "rustup provided no toolchain ($(last_log_line)); trying the distribution's compiler"
    return 1
}

# Builds the standard library for wasm32 from the distribution's source package, and installs it in the sysroot.
# Cargo compiles it as a dependency of an empty crate. Later builds find it like any other target's.
build_std() {
    local crate=$RIALTO_TOOLS/build-std into
    into=$(/usr/bin/rustc --print sysroot)/lib/rustlib/$wasm_target/lib
    rm -rf "$crate"
    mkdir -p "$crate/src"
    printf '[package]\nname = "empty"\nedition = "2024"\n[workspace]\n' >"$crate/Cargo.toml"
    echo '#![no_std]' >"$crate/src/lib.rs"
    cd "$crate" || return
    unset_cargo_environment
    RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO_TARGET_DIR=$crate/target /usr/bin/cargo build --release \
        --target "$wasm_target" -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test
    rm -f "target/$wasm_target/release/deps/"libempty-*.rlib
    run_as_root mkdir -p "$into"
    run_as_root rm -f "$into/"lib*.rlib
    run_as_root cp "target/$wasm_target/release/deps/"lib*.rlib "$into/"
    rm -rf "$crate"
}

install_toolchain_from_distribution() {
    local llvm choice=distribution
    if ! can_use_apt; then
        add_problem "no Rust toolchain with the $wasm_target target" "install rustup, or run this as root or with sudo"
        return 1
    fi
    refresh_apt_lists
    if [ -z "$(apt_candidate rustc-web)" ] || ! version_at_least "$min_rust_version" "$(apt_candidate rustc-web)"; then
        add_problem "no Rust $min_rust_version with $wasm_target from rustup or from this distribution" \
            "install Rust $min_rust_version or later with rustup and that target"
        return 1
    fi
    # rustc-web and rustup's package exclude each other. Only a rustup package that this run installed is removed.
    if [ -n "$rustup_from_apt" ]; then
        if ! run_step "Removing the package rustup" apt_get remove -y rustup; then
            add_step_problem "apt could not remove the package rustup"
            return 1
        fi
        hash -r
    fi
    install_packages "for the compiler" rustc-web cargo-web rust-web-src rust-web-llvm rust-web-clippy rustfmt-web ||
        return 1
    # LLVM's linker for wasm must be of the same LLVM version as the compiler.
    llvm=$(/usr/bin/rustc -vV | awk '$1 == "LLVM" { split($3, part, "."); print part[1] }')
    install_packages "for the linker" "lld-$llvm" || return 1

    # The proxies of an installed rustup come first on PATH, so rustup must know the toolchain.
    if has_command rustup; then
        rustup toolchain link debian /usr
        export RUSTUP_TOOLCHAIN=debian
        choice="rustup debian"
    else
        rialto_prepend_path /usr/bin
        hash -r
    fi
    if ! echo | rustc --target "$wasm_target" --crate-type cdylib -o "$RIALTO_TOOLS/trivial.wasm" - 2>/dev/null; then
        if ! run_step "Building the standard library for $wasm_target (about a minute)" build_std; then
            add_step_problem "the standard library for $wasm_target did not build"
            return 1
        fi
    fi
    rm -f "$RIALTO_TOOLS/trivial.wasm"
    if ! verify_and_record_toolchain "$choice" "the distribution's toolchain"; then
        add_step_problem "the distribution's toolchain does not work"
        return 1
    fi
}

rustup_from_apt=
# shellcheck disable=SC2154 # env.sh sets rialto_toolchain.
ensure_toolchain() {
    case "${RIALTO_TOOLCHAIN:-}:$rialto_toolchain" in
        distribution:default | distribution:"rustup stable" | *:) ;;
        *) [ "$(tail -n +2 "$RIALTO_TOOLS/toolchain")" != "$(toolchain_identity)" ] || return 0 ;;
    esac
    # The toolchain that env.sh selected is outdated. One that the caller selected may still be good.
    rm -f "$RIALTO_TOOLS/toolchain"
    [ "rustup ${RUSTUP_TOOLCHAIN:-}" != "$rialto_toolchain" ] || unset RUSTUP_TOOLCHAIN
    if [ "${RIALTO_TOOLCHAIN:-}" != distribution ]; then
        if [ -z "${RUSTUP_TOOLCHAIN:-}" ] && has_command rustup && ! rustc --version >/dev/null 2>&1; then
            RUSTUP_TOOLCHAIN=$(rustup default 2>/dev/null | cut -d ' ' -f 1) || true
            export RUSTUP_TOOLCHAIN
        fi
        if is_rust_new_enough && toolchain_identity >/dev/null && verify_and_record_toolchain \
            "${RUSTUP_TOOLCHAIN:+rustup }${RUSTUP_TOOLCHAIN:-default}" "the installed Rust toolchain"; then
            return 0
        fi
        unset RUSTUP_TOOLCHAIN
        if ! has_command rustup && can_use_apt; then
            refresh_apt_lists
            if [ -n "$(apt_candidate rustup)" ] && run_step "Installing the package rustup" apt_install rustup; then
                rustup_from_apt=yes
            fi
        fi
        ! install_toolchain_with_rustup || return 0
    fi
    install_toolchain_from_distribution
}
