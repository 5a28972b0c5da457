"""Memory: no allocation per message, and little memory per idle client."""

import resource
import socket
import struct

import pytest

import wire
from nginx_server import seconds, wait_until
from preload import preloaded
from tls_client import client_context
from tuned_client import connect_blocking, framed, numbered
from worker_probe import memory, memory_is_exact, only_worker


@pytest.fixture(scope="module")
def counter(run_folder):
    """The library that counts allocations."""
    with preloaded(run_folder, "malloc_counter") as preload:
        yield preload


@pytest.fixture(scope="module")
def counted_server(counter, module_nginx):
    """An nginx whose allocations are counted."""
    with counter.environment():
        return module_nginx()


@pytest.fixture
def allocations(counter):
    """The number of calls of malloc so far."""
    return lambda: counter.number


def test_counter_counts(counted_server, allocations):
    before = allocations()
    assert before > 0
    counted_server.connect().expect_alive()
    assert allocations() > before


def assert_needs_no_more(allocations, work):
    """Repeats the work until a round allocates nothing. A round may need more
    than any before, because data is cut at random, but not every round."""
    counts = []
    while 0 not in counts:
        assert len(counts) < 5, counts
        before = allocations()
        work()
        counts.append(allocations() - before)


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
    assert_needs_no_more(allocations, lambda: echo(count // together))


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
    assert_needs_no_more(allocations, lambda: echo(200))


def test_large_messages_at_once_allocate_nothing_for_as_long_as_they_come(
        counted_server, allocations):
    clients = [counted_server.connect() for _ in range(6)]
    message = "x" * (1 << 20)
    data = wire.text(message)
    half = len(data) // 2

    def echo(times):
        for _ in range(times):
            for client in clients:
                client.send(data[:half])
            for client in clients:
                client.send(data[half:], duplex=False)
                client.expect_text(message)

    echo(1)
    assert_needs_no_more(allocations, lambda: echo(3))

    # Unused buffers are kept for up to 10 seconds
    pid, before = only_worker(counted_server), allocations()
    size = memory(pid)
    wait_until(lambda: memory(pid) < size - len(message), seconds(15),
               "less memory")
    echo(1)
    assert allocations() != before


# The memory of an idle client

SERVER = """
access_log %%PREFIX%%/access.log combined;
location /echo { websocket_request keep; websocket echo; }
location /released { websocket_request release; websocket echo; }
"""
# The fields of a Python client
HEADERS = [
    ("User-Agent", "Python/3.11 websockets/10.4"),
    ("Sec-WebSocket-Extensions",
     "permessage-deflate; client_max_window_bits"),
]
RESET = struct.pack("ii", 1, 0)
COUNTS = {"plain": 10000, "TLS": 1000}


def close_at_once(client):
    """Closes with an RST, so that the port is not in TIME_WAIT."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def memory_per_client(server, path, count, tls):
    """The memory that an idle client adds to the worker, in bytes."""
    pid = only_worker(server)
    clients = []

    def talk_by(number):
        for _ in range(number):
            clients.append(connect_blocking(server, tls, path=path,
                                            headers=HEADERS))
            clients[-1].sendall(wire.text("hello"))
            assert clients[-1].recv(100) == wire.text("hello", mask=None)

    try:
        talk_by(50)
        before = memory(pid, "Anonymous")
        talk_by(count)
        return (memory(pid, "Anonymous") - before) / count
    finally:
        for client in clients:
            close_at_once(client)


@pytest.fixture
def many_files():
    """Raises the limit of open files, so that each client has a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(COUNTS.values()) + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_idle_client_takes_little_memory(nginx, many_files, capsys):
    if not memory_is_exact():
        pytest.skip("under a sanitizer or valgrind memory is not exact")
    found = {}
    for path in ("/echo", "/released"):
        for kind, count in COUNTS.items():
            server = nginx(server=SERVER, locations="", tls=True,
                           connections=count + 200,
                           main=f"worker_rlimit_nofile {count + 500};")
            tls = client_context() if kind == "TLS" else None
            found[path, kind] = memory_per_client(server, path, count, tls)
            server.stop()
    with capsys.disabled():
        print("\nmemory per idle client, bytes   plain     TLS")
        for path, policy in ("/echo", "keep"), ("/released", "release"):
            print(f"websocket_request {policy:8}    "
                  + "".join(f"{found[path, kind]:8.0f}" for kind in COUNTS))
    assert found["/echo", "plain"] < 10 * 1024
    assert found["/released", "plain"] < 1300
    assert found["/echo", "TLS"] < 40 * 1024
    assert found["/released", "TLS"] < found["/echo", "TLS"] - 7 * 1024
