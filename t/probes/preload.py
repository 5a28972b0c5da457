"""Libraries of t/preload, which are loaded into nginx before others."""

import contextlib
import os
import shutil
import struct
import subprocess

import pytest

from nginx_server import ROOT
from worker_probe import memory_is_exact


class Preload:
    """One library, and the number that it shares with the test. Servers that
    are started within environment() load it."""

    def __init__(self, folder, name):
        self.library, self.file = (os.path.join(folder, part)
                                   for part in (f"{name}.so", "number"))
        source = os.path.join(ROOT, "t", "preload", f"{name}.c")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror",
                        "-fno-builtin", "-shared", "-fPIC", "-o", self.library,
                        source, "-ldl"], check=True)
        with open(self.file, "wb") as file:
            file.write(bytes(8))

    @property
    def number(self):
        with open(self.file, "rb") as file:
            return struct.unpack("=Q", file.read(8))[0]

    @number.setter
    def number(self, value):
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=Q", value))

    @contextlib.contextmanager
    def environment(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WEBSOCKET_PRELOAD", self.library)
            patch.setenv("PRELOAD_NUMBER", self.file)
            yield


@contextlib.contextmanager
def preloaded(run_folder, name):
    """Compiles t/preload/NAME.c; yields a Preload. Skips the test under a
    sanitizer or valgrind."""
    if not memory_is_exact():
        pytest.skip("sanitizers and valgrind have a malloc of their own")
    folder = os.path.join(run_folder, name)
    os.makedirs(folder)
    try:
        yield Preload(folder, name)
    finally:
        shutil.rmtree(folder)
