"""Floods of bad clients: one line of the module for each at info, none above,
and no alert of nginx."""

import collections
import re
import signal
import socket
import ssl

import pytest

import wire
from nginx_server import seconds, wait_until
from plugin_builder import build_file
from raw_client import TIMEOUT
from tls_client import client_context

LOCATIONS = """
websocket_close_timeout 2s;
location /echo { websocket echo; websocket_max_message_size 1k;
                 websocket_limit_messages rate=1/m burst=10; }
location /free { websocket echo; }
location /throwing { websocket throwing key throw=connecting; }
"""
COUNT = 2000
LEVEL = re.compile(r"^\S+ \S+ \[(\w+)\] ")
CLOSED, REFUSED = "websocket: closed by", "websocket: handshake refused"
UPGRADE = wire.upgrade_request()


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(
        LOCATIONS, tls=True,
        http=f"""ssl_protocols TLSv1.2 TLSv1.3;
                 websocket_plugin {build_file('throwing.cpp')};""")


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def reset(client):
    """Ends the connection with an RST."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                      b"\1\0\0\0\0\0\0\0")
    client.close()


def read_to_end(client):
    """All bytes up to any end of the connection."""
    got = b""
    try:
        while piece := client.recv(65536):
            got += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return got


def check_flood_log(server, clients, ours):
    """Each bad client has at most one line of nginx, and exactly one line with
    `ours`, or none if that is None. No line is above info."""
    count = clients if ours else 0
    server.release_clients(timeout=20)
    if ours:
        wait_until(lambda: server.log().count(ours) >= count, seconds(10),
                   f"{count} lines with {ours!r}")
    lines = server.log().splitlines()
    by_level = collections.Counter(
        found.group(1) for line in lines if (found := LEVEL.match(line)))
    our_lines = [line for line in lines if "websocket: " in line]
    assert len(our_lines) == count, by_level
    assert ours is None or all(ours in line
                               for line in our_lines), our_lines[:3]
    assert set(by_level) <= {"info"}, by_level
    assert by_level["info"] <= count + clients, by_level


SENT = {
    # name: the bytes of each client, its log line, whether it waits for the end
    "unmasked": (UPGRADE + wire.text("x", mask=None), CLOSED, True),
    "utf8": (UPGRADE + wire.text(b"\xff"), CLOSED, True),
    "oversize": (UPGRADE + wire.header(wire.BINARY, 1 << 40), CLOSED, True),
    "too-many": (UPGRADE + wire.ping() * 20, CLOSED, True),
    "reset-in-frame": (UPGRADE + wire.binary(bytes(500))[:-1], CLOSED, False),
    "plain-get": (b"GET /echo HTTP/1.0\r\n\r\n", REFUSED, True),
    "bad-key": (wire.upgrade_request(key="x", connection="Upgrade, close"),
                REFUSED, True),
    "not-http": (b"\x16\x03\x01 nonsense\r\n\r\n", None, True),
    "endless-header": (UPGRADE[:-2] + b"X-Y: " + b"y" * 40000, None, True),
}


@pytest.mark.parametrize("data, ours, waits", SENT.values(), ids=SENT)
def test_flood_leaves_a_line_each(server, data, ours, waits):
    for _ in range(COUNT):
        client = connect(server.port)
        if ours == CLOSED:
            client.sendall(UPGRADE)
            assert client.recv(4096).startswith(b"HTTP/1.1 101")
            client.sendall(data[len(UPGRADE):])
        else:
            client.sendall(data)
        if waits:
            if ours is not None:
                client.shutdown(socket.SHUT_WR)
            read_to_end(client)
            client.close()
        else:
            reset(client)
    check_flood_log(server, COUNT, ours)


def test_flood_of_resets_around_the_101(server):
    for _ in range(COUNT):
        client = connect(server.port)
        client.sendall(UPGRADE)
        reset(client)
    server.release_clients(timeout=20)
    our_lines = server.log().count("websocket: ")
    assert our_lines <= COUNT
    # nginx also logs at most one line for each; some connections had no session
    levels = set(re.findall(r"(?m)^\S+ \S+ \[(\w+)\]", server.log()))
    assert levels <= {"info"}, levels
    assert len(server.log().splitlines()) <= our_lines + COUNT


TLS_COUNT = 300


def open_tls(server, context, path="/echo"):
    client = context.wrap_socket(connect(server.tls_port),
                                 suppress_ragged_eofs=False)
    client.sendall(wire.upgrade_request(path))
    assert client.recv(4096).startswith(b"HTTP/1.1 101")
    return client


def talk_on(client):
    """Sends a faulty frame and then more frames, also after the Close."""
    client.sendall(wire.text("x", mask=None))
    try:
        for _ in range(3):
            client.sendall(wire.binary(bytes(1000)) * 20)
        client.sendall(wire.close(1002))
    except OSError:
        pass


def reset_below(client):
    client.sendall(wire.binary(bytes(500))[:-1])
    reset(socket.socket(fileno=client.detach()))


def end_without_notify(client):
    socket.socket(fileno=client.detach()).close()


def talk_and_reset(client):
    talk_on(client)
    reset_below(client)


def send_below(client, noise):
    below = socket.socket(fileno=client.detach())
    below.settimeout(TIMEOUT)
    below.sendall(noise)
    read_to_end(below)
    below.close()


def break_record(client):
    send_below(client, b"\x17\x03\x03\x00\x30" + bytes(48))


def send_no_record(client):
    send_below(client, b"\xff" * 100)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("act", [talk_on, reset_below, end_without_notify,
                                 talk_and_reset, break_record,
                                 send_no_record])
def test_flood_over_tls_leaves_a_line_each(server, act, version):
    context = client_context(version)
    for _ in range(TLS_COUNT):
        client = open_tls(server, context)
        try:
            act(client)
        except OSError:
            pass
        if client.fileno() != -1:
            read_to_end(client)
            client.close()
    check_flood_log(server, TLS_COUNT, CLOSED)


def test_tls_is_not_used_after_a_write_has_failed(server):
    """The client has closed the connection before the replies. The first write
    fails, and no further one is tried."""
    (worker,) = server.worker_pids()
    replies = [20000] * 3 + [6000, 100]
    for _ in range(50):
        client = open_tls(server, client_context(), "/free")
        server.send_signal(signal.SIGSTOP, worker)
        try:
            client.sendall(b"".join(wire.binary(bytes(size))
                                    for size in replies))
            client.close()
        finally:
            server.send_signal(signal.SIGCONT, worker)
    server.release_clients(timeout=20)
    wait_until(lambda: server.log().count(CLOSED) >= 50, seconds(10), CLOSED)
    lines = [line for line in server.log().splitlines() if "SSL_" in line]
    assert all("[info]" in line for line in lines), lines
    assert len(lines) <= 50, lines


def test_tls_handshakes_that_fail_are_no_alarm(server):
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello",
                 b"\xff" * 100, b"\x16\x03\x01"):
        for _ in range(100):
            client = connect(server.tls_port)
            client.sendall(data)
            try:
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the server ended the connection after the first bytes
            read_to_end(client)
            client.close()
    check_flood_log(server, 400, None)


def test_exceptions_of_a_handler_are_logged_twenty_times_at_most(server):
    server.allow_errors(r"exception in|exceptions were left out")
    for _ in range(COUNT):
        client = connect(server.port)
        client.sendall(wire.upgrade_request("/throwing",
                                            connection="Upgrade, close"))
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client).startswith(b"HTTP/1.1 500")
        client.close()
    server.release_clients()
    lines = server.log().splitlines()
    assert sum(REFUSED in line for line in lines) == COUNT
    logged = sum("exception in client_connecting" in line for line in lines)
    # Twenty in ten seconds; the loop may take longer than that
    assert 20 <= logged <= 100 and logged % 20 == 0, logged
