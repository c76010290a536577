#!/usr/bin/env bash
# Prints the size of every file in target/site/pkg, uncompressed and compressed: first the initial download, then the
# lazily loaded WASM chunks. Fails if a file has no compressed copy, or if the brotli sizes exceed a limit:
#
#   RIALTO_INITIAL_LIMIT_KIB   limit of the initial download
#   RIALTO_LAZY_LIMIT_KIB      limit of all lazily loaded chunks together
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../target/site/pkg"

initial_limit_kib=${RIALTO_INITIAL_LIMIT_KIB:-550}
lazy_limit_kib=${RIALTO_LAZY_LIMIT_KIB:-330}
uncompressed_count=0
file_size() { stat -c %s "$1" 2>/dev/null || echo 0; }

# list_files EXPRESSION...: lists the files that match find's expression, and sets $brotli_total.
list_files() {
    local file gzip brotli
    brotli_total=0
    while IFS= read -r file; do
        gzip=$(file_size "$file.gz")
        brotli=$(file_size "$file.br")
        printf '    %12d %9d %9d  %s\n' "$(file_size "$file")" "$gzip" "$brotli" "${file#./}"
        if [ "$gzip" -eq 0 ] || [ "$brotli" -eq 0 ]; then
            uncompressed_count=$((uncompressed_count + 1))
        fi
        brotli_total=$((brotli_total + brotli))
    done < <(find . -type f "$@" | sort)
}

printf '    %12s %9s %9s  %s\n' uncompressed gzip brotli file
list_files \( -name '*.css' -o -name '*.js' -o -name 'rialto.wasm' \)
initial_bytes=$brotli_total
list_files -name '*.wasm' ! -name 'rialto.wasm'
lazy_bytes=$brotli_total

if [ "$uncompressed_count" -gt 0 ] || [ "$initial_bytes" -eq 0 ] || [ "$lazy_bytes" -eq 0 ]; then
    echo "    $uncompressed_count files have no compressed copy; initial: $initial_bytes B, lazy: $lazy_bytes B." \
        "Was this built with --precompress and --split?" >&2
    exit 1
fi
initial_kib=$((initial_bytes / 1024))
lazy_kib=$((lazy_bytes / 1024))
printf '    initial download: %d KiB with brotli (limit %d KiB)\n' "$initial_kib" "$initial_limit_kib"
printf '    lazy chunks: %d KiB with brotli (limit %d KiB)\n' "$lazy_kib" "$lazy_limit_kib"
[ "$initial_kib" -le "$initial_limit_kib" ] && [ "$lazy_kib" -le "$lazy_limit_kib" ]
