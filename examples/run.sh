#!/bin/sh
# Runs a program, such as nginx in the foreground, with the backends of the
# examples http-python, http-php and team beside it. They end when the program
# has ended, or with this script.
#
# usage: run.sh FOLDER PROGRAM [ARGUMENT...]; all run in this folder. If root
# starts it, the backends run as the owner of the examples. HTTP_PYTHON_PORT and
# TEAM_PORT are the ports of http-python (8090) and team (8091), PHP_FPM the
# program if it is not Debian's.

set -u
examples=$(cd "$(dirname "$0")" && pwd)
OWNER=$(stat -c %u "$examples")
group=$(stat -c %g "$examples")
cd "$1" || exit
shift

if [ "$(id -u)" = 0 ]; then
    as_owner="--reuid=$OWNER --regid=$group --clear-groups"
    install -d -m 700 -o "$OWNER" -g "$group" backends
else
    as_owner=
    install -d -m 700 backends
fi

# nginx reads the key of team with its configuration. A killed nginx leaves its
# socket behind.
key=backends/team.key
if [ ! -s $key ]; then
    (umask 077
     printf 'secret:%s' "$(head -c 48 /dev/urandom | base64 -w 0)" > $key)
    [ -z "$as_owner" ] || chown "$OWNER:$group" $key
fi
rm -f backends/team.sock

# Ctrl-C does not reach another session, so a backend gets the events of clients
# until nginx has ended. The kernel ends it if this script is killed.
backends=
start() {
    # shellcheck disable=SC2086
    setpriv $as_owner --pdeathsig TERM setsid "$@" &
    backends="$backends $!"
}

end_all() {
    kill "$program" 2> /dev/null
    wait "$program"
    # shellcheck disable=SC2086
    kill $backends 2> /dev/null
    wait
}

start /usr/bin/python3 "$examples/http-python/chat.py" \
    "${HTTP_PYTHON_PORT:-8090}"
start /usr/bin/python3 "$examples/team/team.py" "${TEAM_PORT:-8091}" \
    $key backends/team.sock

# Debian has the version in the name of the program.
php_fpm=${PHP_FPM-$(ls /usr/sbin/php-fpm* 2> /dev/null | sort -V | tail -n 1)}
if [ -n "$php_fpm" ]; then
    BACKENDS=$PWD/backends
    export OWNER BACKENDS
    start "$php_fpm" --no-php-ini --allow-to-run-as-root --nodaemonize \
        --fpm-config "$examples/http-php/php-fpm.conf"
else
    echo "php-fpm is not installed: the example http-php does not work" >&2
fi

trap 'end_all; exit 0' HUP INT TERM
"$@" &
program=$!
wait "$program"
status=$?
end_all
exit $status
