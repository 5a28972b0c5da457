#!/bin/bash
# Writes sources that compile several unit tests as one, since most of the
# compiler's time goes into GoogleTest's and the standard library's headers.
#
# usage: group_tests.sh FOLDER SIZE TEST.cpp...; FOLDER/tests_1.cpp and so on
# get SIZE tests each.  First comes all that the tests include; then each test,
# in a namespace of its own, so that helpers in two of them may share a name.
# A test that opens the module's namespace can be in no other.

set -euo pipefail

folder=$1
size=$2
shift 2

group() {
    local test format
    grep -h '^#include' "$@" | LC_ALL=C sort -u
    # The tests' bases are in unnamed namespaces, and not in this very file.
    echo '#ifndef __clang__'
    echo '#pragma GCC diagnostic ignored "-Wsubobject-linkage"'
    echo '#endif'
    for test in "$@"; do
        format='namespace %s {\n#include "%s"\n}\n'
        if grep -q '^namespace websocket' "$test"; then
            format='// %s\n#include "%s"\n'
        fi
        printf "$format" "$(basename "$test" .cpp)" "$test"
    done
}

mkdir -p "$folder"
number=0
while [ $# -gt 0 ]; do
    number=$((number + 1))
    file=$folder/tests_$number.cpp
    group "${@:1:size}" > "$file.new"
    if cmp -s "$file.new" "$file"; then
        rm "$file.new"
    else
        mv "$file.new" "$file"
    fi
    shift $((size < $# ? size : $#))
done
