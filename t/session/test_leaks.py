"""valgrind over a short run: connections do not leak memory."""

import re
import shutil
import signal

import pytest

import raw_client
import wire
from worker_probe import memory_is_exact

# Many connections must not lose more bytes than few
FEW, MANY = 5, 30
LOST = re.compile(r"(definitely|indirectly|possibly) lost: ([\d,]+) bytes")
ERRORS = re.compile(r"ERROR SUMMARY: (\d+) errors")


def use(server, index):
    """Exchanges messages on one connection and ends it in one of several
    ways."""
    client = server.connect(tls=index % 5 == 4)
    client.send(wire.text(str(index)) + wire.ping(b"p")
                + wire.fragments(wire.BINARY, bytes(3000), bytes(20000)))
    client.expect_text(str(index))
    client.expect_pong(b"p")
    client.expect_binary(bytes(23000))
    if index % 5 == 0:
        client.leave()
    elif index % 5 == 1:
        client.send(wire.frame(3))
        client.expect_close(1002)
    elif index % 5 == 2:
        client.send(wire.header(wire.BINARY, 100000) + bytes(50000))
        client.wait_until_read()
        client.abort()
        server.clients.remove(client)
        return
    client.disconnect()
    server.clients.remove(client)


@pytest.fixture
def run_under_valgrind(nginx, tmp_path):
    """Serves `count` connections; returns the report of valgrind."""
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    if not memory_is_exact():
        pytest.skip("a sanitizer or valgrind runs already")

    def run(connections):
        log = tmp_path / f"valgrind-{connections}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WEBSOCKET_RUNNER", "valgrind --leak-check=full"
                         " --errors-for-leak-kinds=none"
                         f" --num-callers=25 --log-file={log}")
            patch.setenv("WEBSOCKET_SLOWNESS", "10")
            patch.setattr(raw_client, "TIMEOUT", 50)
            server = nginx(master=False, tls=True)
            for index in range(connections):
                use(server, index)
            staying = [server.connect() for _ in range(connections // 5)]
            server.send_signal(signal.SIGQUIT)
            for client in staying:
                client.expect_close(1001, timeout=20)
            server.wait_for_exit(20)
        return log.read_text()

    return run


def lost(report):
    """The lost bytes in valgrind's report, by kind."""
    found = {way: int(size.replace(",", ""))
             for way, size in LOST.findall(report)}
    assert found or "no leaks are possible" in report, report
    return found


def test_connections_leak_nothing(run_under_valgrind):
    few, many = run_under_valgrind(FEW), run_under_valgrind(MANY)
    before = lost(few)
    assert all(size <= before[way] for way, size in lost(many).items()), many
    assert ERRORS.search(many).group(1) == "0", many
