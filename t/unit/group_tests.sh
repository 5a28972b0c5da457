#!/bin/bash
# Writes sources that each include several unit tests, because most of the
# compiler's time goes into headers of GoogleTest and the standard library.
#
# usage: group_tests.sh FOLDER SIZE TEST.cpp...
#
# FOLDER/tests_1.cpp and so on get SIZE tests each: first all headers that these
# include, then each test in its own namespace, so that helpers may share names.
# A test that opens the namespace of the module gets none.

set -euo pipefail

folder=$1
size=$2
shift 2

group() {
    local test format
    grep -h '^#include' "$@" | LC_ALL=C sort -u
    # The bases of the tests are in unnamed namespaces of other files.
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
