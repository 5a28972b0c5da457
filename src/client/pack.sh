#!/bin/bash
# Packs the npm package as `npm pack` does, so that no npm is needed, and prints
# its sizes: minified by esbuild, then gzipped.
#
# usage: pack.sh OUTPUT_FOLDER; prints the name of the package last

set -euo pipefail

source=$(cd "$(dirname "$0")/package" && pwd)
output=$1
max_room=6144 # bytes
max_both=8192

size_of() {
    echo "export { $1 } from '$source/index.js';" | esbuild --bundle --minify \
        --format=esm --log-level=error | gzip -9 | wc -c
}

check_size() {
    echo "$1: $2 bytes of at most $3"
    [ "$2" -le "$3" ]
}

check_size Room "$(size_of Room)" $max_room
check_size 'Room and Rooms' "$(size_of 'Room, Rooms, RoomError')" $max_both

version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$source/package.json")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$output" "$tree/package"
cp "$source"/*.{js,ts,json,md} "$source/../../../LICENSE" "$tree/package/"
# The same files give the same bytes.
tar -C "$tree" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX -cf - package | gzip -9n \
    > "$output/nginx-websocket-$version.tgz"
echo "$output/nginx-websocket-$version.tgz"
