#!/bin/bash
# Configures an nginx source tree for the module without writing to the tree.
#
# usage: configure.sh SOURCE BUILD, both absolute paths
#
# SOURCE is one of these: Debian's nginx-dev, whose options are in conf_flags; a
# configured tree, whose options are used; or a vanilla tree.  For the latter,
# NGINX_OPTIONS in the environment has the options; the default is that of most
# packages.  BUILD/tree gets links to the files of SOURCE.  configure runs there,
# as it writes a Makefile to the current folder.  Objects and nginx's makefile go
# to BUILD/objs.

set -euo pipefail

source_dir=$1
build_dir=$2
module_dir=$(cd "$(dirname "$0")/.." && pwd)

fail() {
    echo "configure: $*" >&2
    exit 1
}

# Options of a configured tree that do not concern a module: other modules,
# and libraries built from source, which would be built again in their place.
is_foreign() {
    case $1 in
        --builddir=* | --add-module=* | --add-dynamic-module=*) return 0 ;;
        --with-*=dynamic) return 0 ;;
        --with-openssl=* | --with-pcre=* | --with-zlib=*) return 0 ;;
        --with-libatomic=*) return 0 ;;
        *) return 1 ;;
    esac
}

# Sets options to the ones that the tree's own nginx was configured with.
read_configured() {
    local line option
    line=$(sed -n 's/^#define NGX_CONFIGURE "\(.*\)"$/\1/p' "$1")
    local -a given=()
    eval "given=($line)"
    for option in "${given[@]}"; do
        is_foreign "$option" || options+=("$option")
    done
}

link_tree() {
    local entry
    rm -rf "$build_dir/tree"
    mkdir -p "$build_dir/tree"
    for entry in "$source_dir"/*; do
        case ${entry##*/} in
            Makefile | objs) ;;
            *) ln -s "$entry" "$build_dir/tree/" ;;
        esac
    done
}

hardening=(
    --with-cc-opt="-O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2"
    --with-ld-opt="-Wl,-z,relro -Wl,-z,now"
)
options=()
if [ -f "$source_dir/conf_flags" ]; then
    . "$source_dir/conf_flags"
    options=("${hardening[@]}" "${NGX_CONF_FLAGS[@]}")
elif [ -f "$source_dir/objs/ngx_auto_config.h" ]; then
    read_configured "$source_dir/objs/ngx_auto_config.h"
else
    given=${NGINX_OPTIONS:---with-compat --with-threads \
        --with-http_ssl_module --with-http_v2_module}
    read -ra options <<< "$given"
    options=("${hardening[@]}" "${options[@]}")
fi

if [ -f "$source_dir/auto/configure" ]; then
    configure=auto/configure
elif [ -f "$source_dir/configure" ]; then
    configure=./configure
else
    fail "$source_dir is not an nginx source tree"
fi

# All objects depend on these: what did not change is put back afterwards, so
# that configuring for one new source does not compile all others again.
generated=(ngx_auto_config.h ngx_auto_headers.h)

keep_generated() {
    local file
    rm -rf "$build_dir/kept"
    mkdir -p "$build_dir/kept"
    for file in "${generated[@]}"; do
        ! [ -f "$build_dir/objs/$file" ] || \
            cp -p "$build_dir/objs/$file" "$build_dir/kept/"
    done
}

restore_generated() {
    local file
    for file in "${generated[@]}"; do
        ! cmp -s "$build_dir/kept/$file" "$build_dir/objs/$file" || \
            mv "$build_dir/kept/$file" "$build_dir/objs/$file"
    done
}

link_tree
keep_generated
cd "$build_dir/tree"
log=$build_dir/configure.log
if ! sh "$configure" "${options[@]}" --builddir="$build_dir/objs" \
    --add-dynamic-module="$module_dir" > "$log" 2>&1
then
    tail -n 20 "$log" >&2
    fail "nginx's configure failed, see $log"
fi
restore_generated
rm -rf "$build_dir/kept"
