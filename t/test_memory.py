"""Memory: no allocation per message, little per idle client (DESIGN 8)."""

import contextlib
import os
import shutil
import struct
import subprocess

import pytest

import wire
from nginx_server import ROOT
from tuned_client import (client_context, connect_blocking, framed,
                          numbered)
from worker_probe import memory, memory_tells, only_worker

SOURCE = os.path.join(ROOT, "t", "malloc_counter.c")


@pytest.fixture(scope="module")
def counter(run_folder):
    """The compiled counter and its file, as (library, file)."""
    if not memory_tells():
        pytest.skip("sanitizers and valgrind have a malloc of their own")
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which(
        "clang")
    assert compiler, "no C compiler for t/malloc_counter.c"
    folder = os.path.join(run_folder, "malloc-counter")
    os.makedirs(folder, exist_ok=True)
    library, file = (os.path.join(folder, name)
                     for name in ("malloc_counter.so", "count"))
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror",
                    "-fno-builtin", "-shared", "-fPIC", "-o", library,
                    SOURCE], check=True)
    with open(file, "wb") as mapped:
        mapped.write(bytes(8))
    yield library, file
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def counted_server(counter, module_nginx):
    """An nginx whose allocations are counted."""
    library, file = counter
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEBSOCKET_PRELOAD", library)
        patch.setenv("MALLOC_COUNTER_FILE", file)
        return module_nginx()


@pytest.fixture
def allocations(counter):
    """Tells how often malloc has been called so far."""
    def count():
        with open(counter[1], "rb") as file:
            return struct.unpack("=Q", file.read(8))[0]
    return count


def test_counter_counts(counted_server, allocations):
    before = allocations()
    assert before > 0
    counted_server.connect().expect_alive()
    assert allocations() > before


SHAPES = {
    # name: (payload size, cuts, messages per send, messages)
    "small": (20, None, 1, 2000),
    "small-pipelined": (20, None, 200, 10000),
    "medium": (1500, None, 10, 10000),
    "16k": (16384, None, 1, 2000),
    "16k-cut-by-reads": (16384, [1000, 9000, 16000], 1, 500),
    "16k-in-flight": (16384, None, 4, 10000),
    "60k-cut-by-reads": (60000, [30000, 59000], 1, 200),
    "one-byte-at-a-time": (60, "each", 1, 100),
}


@pytest.mark.parametrize("size, cut, together, count", SHAPES.values(),
                         ids=SHAPES.keys())
def test_echoed_messages_allocate_nothing(counted_server, allocations, size,
                                          cut, together, count):
    client = counted_server.connect()
    messages = numbered(together, size)
    data = framed(messages)

    def echo(turns):
        for _ in range(turns):
            client.send(data, cut)
            for message in messages:
                client.expect_text(message)

    echo(max(2, count // together // 10))
    before = allocations()
    echo(count // together)
    assert allocations() - before == 0


def test_fragments_and_control_frames_allocate_nothing(counted_server,
                                                       allocations):
    client = counted_server.connect()
    data = (wire.fragments(wire.TEXT, "a" * 500, "b" * 3000, "c")
            + wire.ping(b"p" * 125) + wire.pong())

    def echo(turns):
        for _ in range(turns):
            client.send(data, [300, 2000, 3600])
            client.expect_text("a" * 500 + "b" * 3000 + "c")
            client.expect_pong(b"p" * 125)

    echo(20)
    before = allocations()
    echo(200)
    assert allocations() - before == 0


def memory_per_client(server, count, tls=None):
    """Bytes of its own that an idle client adds to the worker."""
    pid = only_worker(server)
    with contextlib.ExitStack() as clients:
        def talk_by(number):
            for _ in range(number):
                client = clients.enter_context(connect_blocking(server, tls))
                client.sendall(wire.text("hello"))
                assert client.recv(100) == wire.text("hello", mask=None)

        talk_by(50)
        before = memory(pid, "Pss")
        talk_by(count)
        return (memory(pid, "Pss") - before) / count


@pytest.mark.parametrize("tls, count, most", [
    (False, 2000, 12 * 1024), (True, 300, 40 * 1024),
], ids=["plain", "tls"])
def test_idle_client_takes_little_memory(nginx, capsys, tls, count, most):
    if not memory_tells():
        pytest.skip("under a sanitizer or valgrind memory tells nothing")
    taken = memory_per_client(nginx(tls=tls), count,
                              client_context() if tls else None)
    with capsys.disabled():
        print(f"\nmemory per idle client{' over TLS' * tls}: "
              f"{taken:.0f} bytes")
    assert taken < most
