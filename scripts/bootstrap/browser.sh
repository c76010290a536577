# shellcheck shell=bash
# Installs the browsers and fonts of the browser tests, and checks once that Chromium starts.
# Sourced by scripts/bootstrap.sh, after apt.sh.

check_browser_starts() {
    local profile page
    profile=$(mktemp -d)
    page=$(timeout 60 "$RIALTO_CHROMIUM" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync --user-data-dir="$profile" \
        --dump-dom 'data:text/html,<p>it works</p>')
    rm -rf "$profile"
    echo "$page"
    grep -q 'it works' <<<"$page"
}

browser_identity() { stat -L -c '%n %s %Y' "$RIALTO_CHROMIUM" 2>/dev/null || echo none; }

has_emoji_font() {
    local found folders=(/usr/share/fonts "$HOME/.fonts" "$HOME/.local/share/fonts")
    # find fails for a missing folder, also when it finds a font in another.
    found=$(find "${folders[@]}" -iname '*emoji*' -print -quit 2>/dev/null) || true
    [ -n "$found" ]
}

ensure_browser() {
    local packages=() candidate
    if [ -z "$RIALTO_CHROMIUM" ]; then
        refresh_apt_lists
        candidate=$(apt_candidate chromium)
        case "$candidate" in
            "" | *snap*)
                add_problem "no Chromium, and no package of it (Playwright cannot drive Ubuntu's snap)" \
                    "install a Chrome or Chromium package that is not a snap, or name a browser in RIALTO_CHROMIUM"
                return
                ;;
        esac
        packages+=(chromium)
    fi
    # Screenshots need a font for text and one for emoji.
    compgen -G '/usr/share/fonts/*/*/*.[to]tf' >/dev/null || packages+=(fonts-dejavu-core)
    has_emoji_font || packages+=(fonts-noto-color-emoji)
    # Firefox is for calls between two browsers. Without it those tests are skipped.
    if ! has_command firefox-esr && can_use_apt; then
        refresh_apt_lists
        [ -z "$(apt_candidate firefox-esr)" ] || packages+=(firefox-esr)
    fi
    if [ "${#packages[@]}" -gt 0 ]; then
        install_packages "for the browser tests" "${packages[@]}" || return 0
        # shellcheck source=scripts/env.sh
        source scripts/env.sh
    fi
    # One check here is clearer than a failure of every test.
    if [ "$(cat "$RIALTO_TOOLS/browser" 2>/dev/null)" != "$(browser_identity)" ]; then
        if ! run_step "Checking that $RIALTO_CHROMIUM starts" check_browser_starts; then
            add_step_problem "$RIALTO_CHROMIUM does not start" "or name another browser in RIALTO_CHROMIUM"
            return
        fi
        browser_identity >"$RIALTO_TOOLS/browser"
    fi
}
