#!/usr/bin/env bash
# What a browser downloads before a page is live, file by file, plain and compressed, from target/site. Fails where a
# file has no compressed copies or where the sum, as sent with brotli, is over $RIALTO_WEIGHT_LIMIT_KIB.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../target/site/pkg"

limit_kib=${RIALTO_WEIGHT_LIMIT_KIB:-680}
sum=0
missing=0
size() { stat -c %s "$1" 2>/dev/null || echo 0; }

printf '    %9s %9s %9s  %s\n' plain gzip brotli file
while IFS= read -r file; do
    gzip=$(size "$file.gz")
    brotli=$(size "$file.br")
    printf '    %9d %9d %9d  %s\n' "$(size "$file")" "$gzip" "$brotli" "${file#./}"
    if [ "$gzip" -eq 0 ] || [ "$brotli" -eq 0 ]; then
        missing=$((missing + 1))
    fi
    sum=$((sum + brotli))
done < <(find . -type f \( -name '*.wasm' -o -name '*.js' -o -name '*.css' \) | sort)

if [ "$missing" -gt 0 ] || [ "$sum" -eq 0 ]; then
    echo "    $missing files have no compressed copy, $sum bytes in all: was this built with --precompress?" >&2
    exit 1
fi
printf '    %d KiB with brotli; the limit is %d KiB\n' "$((sum / 1024))" "$limit_kib"
[ "$((sum / 1024))" -le "$limit_kib" ]
