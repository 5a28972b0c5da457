#!/bin/bash
# Builds the Debian packages from a copy of the tree, with src/debian/ as its
# debian/.
#
# usage: make_deb.sh VERSION OUTPUT_FOLDER

set -euo pipefail

version=$1
output=$2
root=$(cd "$(dirname "$0")/.." && pwd)
tree=$output/deb/libnginx-mod-http-websocket-$version
log=$output/deb/build.log

rm -rf "$output/deb"
mkdir -p "$tree"
cp -r "$root"/{config,src,examples,README.md,LICENSE} "$tree/"
mv "$tree/src/debian" "$tree/debian"

# If DEBEMAIL is set, its owner is the maintainer of the packages.
if [ -n "${DEBEMAIL:-}" ]; then
    maintainer="${DEBFULLNAME:-$DEBEMAIL} <$DEBEMAIL>"
    sed -i "s|^Maintainer:.*|Maintainer: $maintainer|" \
        "$tree/debian/control"
fi

# The date of the packages is SOURCE_DATE_EPOCH or that of the newest file, so
# that the same tree gives the same packages.
newest() {
    find "$root"/{config,src,README.md} -type f -printf '%T@\n' | \
        sort -n | tail -n 1
}
epoch=${SOURCE_DATE_EPOCH:-$(newest)}
cat > "$tree/debian/changelog" << END
libnginx-mod-http-websocket ($version) unstable; urgency=medium

  * Version of the tree; see README.md.

 -- $(sed -n 's/^Maintainer: //p' "$tree/debian/control")  $(
    LC_ALL=C date -u -R -d "@$epoch")
END

# The package is built without the variables that our own make exports.
build() {
    cd "$tree"
    env -u CC -u CXX -u CFLAGS -u CXXFLAGS -u LDFLAGS -u MAKEFLAGS \
        -u MFLAGS -u MAKELEVEL \
        DEB_BUILD_OPTIONS="noautodbgsym parallel=$(nproc)" \
        dpkg-buildpackage -b -us -uc
}

if ! (build) > "$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "make_deb: dpkg-buildpackage failed, see $log" >&2
    exit 1
fi

rm -f "$output"/libnginx-mod-http-websocket*.deb
mv "$output"/deb/*.deb "$output/"
rm -rf "$tree"
ls "$output"/libnginx-mod-http-websocket*.deb
