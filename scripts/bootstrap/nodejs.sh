# shellcheck shell=bash
# Installs Node.js where the system's is too old, and the npm packages of end2end/: wasm-opt for release builds,
# Playwright and linters for the tests. Sourced by scripts/bootstrap.sh, after reporting.sh.

nodejs_major() { node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p'; }

# npm offers Node.js itself as a package. Debian 12 and Ubuntu 24.04 have Node.js 18.
install_nodejs() {
    local architecture into=$RIALTO_TOOLS/node-$RIALTO_NODEJS_MAJOR
    case "$(uname -m)" in
        x86_64) architecture=x64 ;;
        aarch64) architecture=arm64 ;;
        *)
            echo "npm has no Node.js for $(uname -m)"
            return 1
            ;;
    esac
    mkdir -p "$into"
    npm install --prefix "$into" --no-save --no-audit --no-fund "node-linux-$architecture@$RIALTO_NODEJS_MAJOR"
    ln -sfn "node_modules/node-linux-$architecture/bin" "$into/bin"
    "$into/bin/node" --version
}

npm_ci() {
    cd end2end || return
    npm ci --no-audit --no-fund
    sha256sum package-lock.json >node_modules/.rialto-installed
}

ensure_nodejs_tools() {
    local major
    major=$(nodejs_major)
    if [ -z "$major" ] || ! has_command npm; then
        add_problem "Node.js and npm are missing" "install Node.js 20 or later with npm"
        return
    fi
    if [ "$major" -lt 20 ]; then
        if ! run_step "Installing Node.js $RIALTO_NODEJS_MAJOR (20 or later is needed, found: $major)" \
            install_nodejs; then
            add_problem "Node.js is $major; the build needs 20 or later" "install a newer Node.js"
            return
        fi
        rialto_prepend_path "$RIALTO_TOOLS/node-$RIALTO_NODEJS_MAJOR/bin"
        hash -r
    fi
    if ! (cd end2end && sha256sum --check --status node_modules/.rialto-installed) 2>/dev/null; then
        run_step "Installing the npm packages of end2end/" npm_ci ||
            add_step_problem "npm ci failed in end2end/"
    fi
}
