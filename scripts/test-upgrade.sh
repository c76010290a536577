#!/usr/bin/env bash
# Tests an upgrade: test-upgrade.sh COMMIT
# Builds that commit in target/previous, starts its program, opens pages, and goes on with the build under test in the same data folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/env.sh
source scripts/env.sh

commit=$(git rev-parse --verify --quiet "${1:-}^{commit}") || {
    echo "usage: scripts/test-upgrade.sh COMMIT" >&2
    exit 2
}
folder=$PWD/target/previous
rm -rf "$folder/source"
mkdir -p "$folder/source"
git archive "$commit" | tar --extract --directory "$folder/source"
# The target folder is kept, so that a second test builds little.
mkdir -p "$folder/target"
ln -s "$folder/target" "$folder/source/target"
# build.sh knows its inputs from git, which does not track them here.
rm -f "$folder/target/".rialto-built*
(cd "$folder/source" && scripts/step.sh "Build of ${commit:0:12}" scripts/build.sh)
RIALTO_E2E_PREVIOUS=$folder scripts/step.sh "Browser tests, upgrade from ${commit:0:12}" scripts/e2e.sh
