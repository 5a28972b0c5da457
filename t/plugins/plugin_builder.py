"""Compiles plug-ins for the tests, once for each source."""

import hashlib
import os
import subprocess

from nginx_server import ROOT

SDK = os.path.join(ROOT, "src", "sdk")
SOURCES = os.path.join(ROOT, "t", "plugins")
CACHE = os.path.join(ROOT, "build", "t", "plugins")

EXAMPLES = os.path.join(ROOT, os.environ.get("WEBSOCKET_EXAMPLES",
                                             "build/examples"))

FLAGS = {
    "c": ["cc", "-std=c11", "-Wno-override-init"],
    "cpp": [os.environ.get("CXX", "g++"), "-std=c++20", "-fno-gnu-unique",
            "-fvisibility=hidden"],
}
WARNINGS = ["-O2", "-g", "-Wall", "-Wextra", "-Werror"]


def example(name):
    """The library of an example, which must be built already."""
    path = os.path.join(EXAMPLES, name + ".so")
    assert os.path.exists(path), f"{path} is not built"
    return path


def build_file(name):
    """The library compiled from a file in t/plugins."""
    with open(os.path.join(SOURCES, name), encoding="utf-8") as file:
        return build_source(file.read(), name.rpartition(".")[2])


def build_source(source, language="c"):
    """The library compiled from a source text. The file may be shared with
    other tests, so it must not be changed."""
    command = FLAGS[language] + WARNINGS + [
        "-fPIC", "-shared", "-I", SDK, "-I", SOURCES, "-x",
        "c++" if language == "cpp" else "c", "-"]
    digest = hashlib.sha256(repr(command).encode() + source.encode())
    for folder in (SDK, SOURCES):
        for name in sorted(os.listdir(folder)):
            if name.endswith((".h", ".hpp")):
                with open(os.path.join(folder, name), "rb") as file:
                    digest.update(file.read())
    path = os.path.join(CACHE, digest.hexdigest()[:16] + ".so")
    if not os.path.exists(path):
        os.makedirs(CACHE, exist_ok=True)
        output = f"{path}.{os.getpid()}"
        done = subprocess.run(command + ["-o", output], input=source, text=True,
                              check=False, capture_output=True)
        assert done.returncode == 0, done.stderr
        os.replace(output, path)
    return path
