"""The folders are layers: each includes only headers of the layers below it."""

import collections
import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SOURCE_ENDS = (".c", ".cpp", ".h", ".hpp")
COMPILED_ENDS = (".c", ".cpp")
SKIPPED = {".git", "build", "__pycache__", "node_modules"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
NGINX_HEADER = re.compile(r"ngx_|^nginx\.h$|^nginx_headers")
SYSTEM_NAMES = re.compile(r"\bngx_|\bNGX_")
# No I/O and no clock, which need headers of sockets, files or time.
FORBIDDEN_IN_PROTOCOL = re.compile(
    r"^(sys/|netinet/|arpa/|unistd\.h|fcntl\.h|time\.h|ctime|chrono|fstream"
    r"|iostream|cstdio|stdio\.h|thread|mutex|poll\.h|openssl/ssl)")
ALLOWED_LIBRARIES_IN_PROTOCOL = re.compile(
    r"^(zlib\.h|openssl/(evp|sha|err)\.h|immintrin\.h|emmintrin\.h"
    r"|cpuid\.h)$")
ALLOWED_LIBRARIES_IN_HANDLERS = re.compile(
    r"^(nlohmann/json\.hpp|openssl/evp\.h)$")
STANDARD_HEADER = re.compile(r"^(c?[a-z_]+[a-z0-9_]*|std[a-z]+\.h)$")

# Layers whose headers a layer may include, by the first part of the path.
MAY_INCLUDE = {
    "protocol": {"protocol"},
    "sdk": {"sdk"},
    "handlers": {"handlers", "sdk"},
    "broker": {"broker", "nginx", "protocol", "sdk"},
    "redis": {"redis", "broker", "sdk"},
    "tokens": {"tokens"},
    "nginx": {"nginx", "protocol", "broker", "redis", "tokens", "sdk",
              "handlers"},
}
# The folders of a layer. Each may include the folders before it.
FOLDERS = {
    "protocol": ["text", "handshake", "frames", "deflate", "messages"],
    "nginx": [
        "core", "workers", "members", "redis_io", "redis_nodes", "output",
        "request", "identity", "events", "host_inbox", "backplane",
        "kept_clients", "resource", "status", "session", "direct",
        "subscriptions", "backend", "publish", "upgrade", "plugin", "module",
    ],
}
MAX_FILES = 20  # in a folder
KNOWS_NGINX = {"nginx", "broker"}
PACKAGING = "debian"
CLIENT = "client"  # for pages: no part of the module


def tree_files():
    """All files of the tree, relative to its root."""
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if name not in SKIPPED]
        for file in files:
            yield os.path.relpath(os.path.join(folder, file), ROOT)


def sources(layer):
    return sorted(path for path in tree_files()
                  if path.startswith(f"src/{layer}/")
                  and path.endswith(SOURCE_ENDS))


def faults_of(layer, text):
    """The lines of a source text that break the order of layers."""
    faults = []
    for kind, name in INCLUDE.findall(text):
        folder = name.split("/")[0] if "/" in name else None
        own = kind == '"' or folder in MAY_INCLUDE
        if NGINX_HEADER.search(name):
            if layer not in KNOWS_NGINX:
                faults.append(f"nginx header {name}")
        elif own:
            if (folder or layer) not in MAY_INCLUDE[layer]:
                faults.append(f"{name} of another layer")
        elif layer == "protocol":
            if not ALLOWED_LIBRARIES_IN_PROTOCOL.search(name) and (
                    FORBIDDEN_IN_PROTOCOL.search(name)
                    or not STANDARD_HEADER.search(name)):
                faults.append(f"{name} is none of its libraries")
        elif layer in ("sdk", "handlers"):
            if not STANDARD_HEADER.search(name) and not (
                    layer == "handlers"
                    and ALLOWED_LIBRARIES_IN_HANDLERS.search(name)):
                faults.append(f"{name} is not standard")
    if layer not in KNOWS_NGINX and SYSTEM_NAMES.search(text):
        faults.append("an nginx name")
    return faults


def upward_includes(layer, folder, text):
    """The folders of a layer that a source includes against their order."""
    known = FOLDERS[layer][:FOLDERS[layer].index(folder) + 1]
    parts = [name.split("/") for _, name in INCLUDE.findall(text)]
    return [part[1] for part in parts
            if part[0] == layer and len(part) == 3 and part[1] not in known]


def twins(paths, key):
    """Groups of paths that share a key."""
    groups = collections.defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return [group for group in groups.values() if len(group) > 1]


def last_two(path):
    """"last-folder/basename", by which nginx's build names objects."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.basename(folder), name)


@pytest.mark.parametrize("layer", MAY_INCLUDE)
def test_layer_includes_only_what_it_may_know(layer):
    faults = {}
    for path in sources(layer):
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            found = faults_of(layer, file.read())
        if found:
            faults[path] = found
    assert not faults


@pytest.mark.parametrize("layer", ["protocol", "nginx", "handlers", "sdk"])
def test_layer_has_sources(layer):
    assert sources(layer)


def test_every_source_folder_is_a_known_layer():
    folders = {path.split("/")[1] for path in tree_files()
               if path.startswith("src/") and path.count("/") > 1}
    assert folders <= set(MAY_INCLUDE) | {PACKAGING, CLIENT}


def files_of(layer):
    return [path for path in tree_files() if path.startswith(f"src/{layer}/")]


@pytest.mark.parametrize("layer", FOLDERS)
def test_folders_include_those_before_them(layer):
    faults = {}
    for path in files_of(layer):
        folder = path.split("/")[2]
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            found = upward_includes(layer, folder, file.read())
        if found:
            faults[path] = found
    assert not faults


@pytest.mark.parametrize("layer", FOLDERS)
def test_folders_are_known_and_small(layer):
    files = collections.Counter(
        path.rpartition("/")[0].removeprefix(f"src/{layer}/")
        for path in files_of(layer))
    assert set(files) == set(FOLDERS[layer])
    assert max(files.values()) <= MAX_FILES, files


@pytest.mark.parametrize("layer, folder, above, text", [
    ("nginx", "resource", "session",
     '#include "nginx/core/version.hpp"\n'
     '# include "nginx/session/session.hpp"\n'),
    ("protocol", "deflate", "messages",
     '#include "protocol/text/utf8.hpp"\n'
     '#include "protocol/messages/endpoint.hpp"\n'),
])
def test_include_against_the_order_is_found(layer, folder, above, text):
    assert upward_includes(layer, folder, text) == [above]
    assert not upward_includes(layer, above, text)


def test_packaging_holds_no_code():
    assert not sources(PACKAGING)


def test_file_names_are_unique_by_last_folder():
    assert not twins(tree_files(), last_two)


def test_object_names_are_unique_by_last_folder():
    compiled = [path for path in tree_files()
                if path.startswith("src/") and path.endswith(COMPILED_ENDS)]
    assert not twins(compiled, lambda path: os.path.splitext(
        last_two(path))[0])


@pytest.mark.parametrize("layer, line", [
    ("protocol", '#include <ngx_core.h>'),
    ("protocol", 'extern "C" {\n#include <ngx_http.h>\n}'),
    ("protocol", '#include "nginx/session/session.hpp"'),
    ("protocol", '#include <sys/socket.h>'),
    ("protocol", '#include <chrono>'),
    ("protocol", '#include <openssl/ssl.h>'),
    ("protocol", 'struct ngx_str_t;'),
    ("handlers", '#include "protocol/frames/frame.hpp"'),
    ("handlers", '#include "nginx/session/session.hpp"'),
    ("handlers", '#  include <ngx_config.h>'),
    ("handlers", '#include <nlohmann/detail/input/lexer.hpp>'),
    ("handlers", '#include <zlib.h>'),
    ("sdk", '#include "protocol/text/utf8.hpp"'),
    ("sdk", '#include <nlohmann/json.hpp>'),
    ("sdk", '#include <zlib.h>'),
    ("broker", '#include "handlers/echo.hpp"'),
])
def test_forbidden_line_is_found(layer, line):
    assert faults_of(layer, f"// purpose\n{line}\n")


@pytest.mark.parametrize("layer, line", [
    ("protocol", '#include <cstdint>'),
    ("protocol", '#include <string_view>'),
    ("protocol", '#include <zlib.h>'),
    ("protocol", '#include <openssl/evp.h>'),
    ("protocol", '#include "protocol/frames/frame.hpp"'),
    ("protocol", '#include "frame.hpp"'),
    ("handlers", '#include "sdk/websocket_plugin.h"'),
    ("handlers", '#include <nlohmann/json.hpp>'),
    ("handlers", '#include <openssl/evp.h>'),
    ("sdk", '#include <stddef.h>'),
    ("nginx", '#include <ngx_http.h>'),
    ("nginx", '#include "protocol/frames/frame.hpp"'),
])
def test_allowed_line_is_passed(layer, line):
    assert not faults_of(layer, f"// purpose\n{line}\n")


def test_twin_names_are_found():
    assert twins(["src/a/x/f.cpp", "src/b/x/f.cpp", "src/f.cpp"], last_two)
    assert not twins(["src/a/f.cpp", "src/b/f.cpp"], last_two)
