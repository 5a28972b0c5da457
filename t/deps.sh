#!/bin/bash
# Installs the Debian packages that the named sets need and this machine lacks.
#
# usage: deps.sh SET...; asks for nothing, and needs neither root nor network
# when nothing is missing.

set -euo pipefail

packages_of() {
    case $1 in
        build)
            echo g++ make nginx nginx-dev libssl-dev zlib1g-dev \
                nlohmann-json3-dev libhiredis-dev
            ;;
        test)
            echo libgtest-dev openssl python3 python3-pytest \
                python3-pytest-xdist \
                python3-prometheus-client \
                python3-selenium python3-websocket chromium chromium-driver \
                strace valgrind libc6-dbg redis-server node-ws \
                libnginx-mod-http-perl libnginx-mod-http-uploadprogress
            packages_of php
            packages_of client
            echo node-typescript node-react node-react-test-renderer \
                firefox-esr
            # It only saves time, so it is not worth a second browser.
            installed chromium || echo chromium-headless-shell
            ;;
        php) echo php-fpm ;;
        client) echo esbuild ;;
        package) echo build-essential debhelper dpkg-dev ;;
        debian13) echo debootstrap git ;;
        bench)
            echo libbenchmark-dev openssl strace valgrind libc6-dbg \
                redis-server
            ;;
        peers)
            # A node that is not from Debian is accepted.
            command -v node > /dev/null || echo nodejs
            command -v npm > /dev/null || echo npm
            ;;
        fuzz) echo clang libclang-rt-dev ;;
        lint) echo clang-format clang-tidy ;;
        *) echo "deps: no set $1" >&2 && return 1 ;;
    esac
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" \
        = installed ]
}

missing=()
for set_name in "$@"; do
    packages=$(packages_of "$set_name")
    for package in $packages; do
        installed "$package" || missing+=("$package")
    done
done
[ ${#missing[@]} -gt 0 ] || exit 0

log=$(cd "$(dirname "$0")/.." && pwd)/build/deps.log
echo "deps: installing ${missing[*]} (see $log, it can take minutes)"
mkdir -p "${log%/*}"
as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo > /dev/null || {
        echo "deps: neither root nor sudo: install these yourself" >&2
        exit 1
    }
    as_root=(sudo)
fi

apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q \
        -o DPkg::Lock::Timeout=300 "$@" < /dev/null
}

# Debian starts services when it installs them. The ports 80 and 6379 must stay
# free, and `make run` starts a PHP-FPM of its own.
starts_service() {
    [[ " ${missing[*]} " == *" $1 "* ]]
}
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ] && { starts_service nginx || \
    starts_service redis-server || starts_service php-fpm; }
then
    trap '"${as_root[@]}" rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy > /dev/null
    "${as_root[@]}" chmod 755 $policy
fi

# The package lists may be empty or out of date.
install_missing() {
    local arguments=(install -y --no-install-recommends "${missing[@]}")
    if ! apt_get --simulate "${arguments[@]}" || ! apt_get "${arguments[@]}"
    then
        apt_get update && apt_get "${arguments[@]}"
    fi
}

if ! install_missing > "$log" 2>&1; then
    tail -n 30 "$log" >&2
    exit 1
fi
