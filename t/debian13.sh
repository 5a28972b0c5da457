#!/bin/bash
# Runs `make test` on this tree in a new Debian 13.
#
# usage: debian13.sh FOLDER [COMMAND...]; FOLDER keeps the system for later
# runs, and a clone of the last commit. Needs root. Uses the mirror and the
# proxies of this machine's apt.

set -euo pipefail

suite=trixie
tree=$(cd "$(dirname "$0")/.." && pwd)

fail() {
    echo "debian13: $*" >&2
    exit 1
}

# Mounts and processes end with these namespaces.
if [ "${1:-}" = --inside ]; then
    shift
else
    [ $# -gt 0 ] || fail "usage: debian13.sh FOLDER [COMMAND...]"
    [ "$(id -u)" = 0 ] || fail "only root can install a Debian in a folder:" \
        "sudo make test-debian13"
    "$tree/t/deps.sh" debian13
    exec unshare --mount --pid --fork --kill-child "$0" --inside "$@"
fi

mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
root=$folder/root

apt_mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Label: Debian' | head -n 1
}

make_root() {
    local mirror
    mirror=$(apt_mirror)
    [ -n "$mirror" ] || { apt-get -q update && mirror=$(apt_mirror); }
    [ -n "$mirror" ] || fail "apt has no source of Debian"
    echo "debian13: making a Debian 13 in $root (see $folder/debootstrap.log)"
    rm -rf "$root.new"
    debootstrap --variant=minbase --include=ca-certificates,git,make \
        $suite "$root.new" "$mirror" > "$folder/debootstrap.log" 2>&1 || {
        tail -n 20 "$folder/debootstrap.log" >&2
        fail "debootstrap failed"
    }
    apt-config dump | grep -i '^Acquire::.*proxy' \
        > "$root.new/etc/apt/apt.conf.d/90host" || true
    mv "$root.new" "$root"
}

[ -d "$root" ] || make_root

cp -L /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mount -t tmpfs shm "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"

[ -z "$(git -C "$tree" -c safe.directory='*' status --porcelain)" ] ||
    echo "debian13: what is not committed is left out"
rm -rf "$root/src/nginx-websocket"
git -c safe.directory='*' clone -q "$tree" "$root/src/nginx-websocket"

[ $# -gt 0 ] || set -- make test
status=0
chroot "$root" env -i HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ${CI:+CI="$CI"} ${PYTEST_OPTIONS:+PYTEST_OPTIONS="$PYTEST_OPTIONS"} \
    sh -c 'cd /src/nginx-websocket && exec "$@"' sh "$@" || status=$?
[ $status = 0 ] && echo "debian13: passed" || echo "debian13: failed"
exit $status
