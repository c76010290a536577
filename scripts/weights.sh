#!/usr/bin/env bash
# What a browser downloads, file by file, plain and compressed, from target/site: first what makes a page live, then the
# parts that come when they are needed. Fails where a file has no compressed copies, or where a sum, as sent with brotli,
# is over its limit: $RIALTO_WEIGHT_LIMIT_KIB for the beginning, $RIALTO_PARTS_LIMIT_KIB for all parts together.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../target/site/pkg"

limit_kib=${RIALTO_WEIGHT_LIMIT_KIB:-495}
parts_limit_kib=${RIALTO_PARTS_LIMIT_KIB:-310}
missing=0
size() { stat -c %s "$1" 2>/dev/null || echo 0; }

# Lists the files that find finds by what is given to it, and leaves their sum in $sum.
list() {
    local file gzip brotli
    sum=0
    while IFS= read -r file; do
        gzip=$(size "$file.gz")
        brotli=$(size "$file.br")
        printf '    %9d %9d %9d  %s\n' "$(size "$file")" "$gzip" "$brotli" "${file#./}"
        if [ "$gzip" -eq 0 ] || [ "$brotli" -eq 0 ]; then
            missing=$((missing + 1))
        fi
        sum=$((sum + brotli))
    done < <(find . -type f "$@" | sort)
}

printf '    %9s %9s %9s  %s\n' plain gzip brotli file
list \( -name '*.css' -o -name '*.js' -o -name 'rialto.*.wasm' \)
first=$sum
list -name '*.wasm' ! -name 'rialto.*.wasm'
parts=$sum

if [ "$missing" -gt 0 ] || [ "$first" -eq 0 ] || [ "$parts" -eq 0 ]; then
    echo "    $missing files have no compressed copy, $first and $parts bytes in all: was this built with --precompress and --split?" >&2
    exit 1
fi
printf '    %d KiB with brotli make a page live; the limit is %d KiB\n' "$((first / 1024))" "$limit_kib"
printf '    %d KiB come when they are needed; the limit is %d KiB\n' "$((parts / 1024))" "$parts_limit_kib"
[ "$((first / 1024))" -le "$limit_kib" ] && [ "$((parts / 1024))" -le "$parts_limit_kib" ]
