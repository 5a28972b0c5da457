"""Tests of the test harness, on an nginx without the module."""

import os
import signal
import socket
import ssl
import threading

import pytest

import wire
from longest_files import LONGEST_FILES
from nginx_server import ROOT, tool_reports
from raw_client import ConnectionWasReset, EndOfStream, RawClient

PLAIN = "location / { return 200 hello; }"


@pytest.fixture
def pair():
    """A RawClient and the socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = RawClient(listener.getsockname())
        peer, _ = listener.accept()
    with peer:
        yield client, peer
    client.disconnect()


def test_longest_files_exist():
    """A name that no file has would start no file first."""
    found = [name[:-3] for _, _, names in os.walk(os.path.join(ROOT, "t"))
             for name in names if name.endswith(".py")]
    assert sorted(LONGEST_FILES) == sorted(set(LONGEST_FILES))
    assert not set(LONGEST_FILES) - set(found)


def test_nginx_starts_answers_and_ends(nginx):
    server = nginx(PLAIN, module=False)
    answer = server.request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"hello")
    assert server.wait_for_access_log(uri="/")["status"] == "200"
    server.stop()
    assert not os.path.exists(f"/proc/{server.pid}")


def test_nginx_over_tls_answers(nginx):
    server = nginx(PLAIN, module=False, tls=True)
    answer = server.request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", tls=True)
    assert answer.body == b"hello"


def test_reload_replaces_workers(nginx):
    server = nginx(PLAIN, module=False, workers=2)
    old = server.reload()
    server.wait_for_workers_gone(old)
    assert len(server.worker_pids()) == 2


def test_error_line_fails_the_log_check(nginx):
    server = nginx("location / { root /nowhere; }", module=False)
    server.request(b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n")
    server.wait_for_log(r"open\(\) .* failed")
    with pytest.raises(AssertionError, match="nowhere"):
        server.assert_clean_logs()


@pytest.mark.parametrize("report", [
    "==7== 8 bytes in 1 blocks are definitely lost in loss record 1 of 2",
    "==7== Invalid read of size 4", "==7==ERROR: AddressSanitizer: heap",
    "a.cpp:1:2: runtime error: shift exponent",
])
def test_report_of_a_tool_is_found(report):
    own = "==7== 8 bytes are definitely lost in loss record 1\n" \
        "==7==    by 0x1: ngx_set_environment (in nginx)\n==7== \n"
    assert tool_reports(own) == []
    assert tool_reports(f"{own}{report}\n==7==  by f\n==7== \n") == [
        f"{report}\n==7==  by f\n"]


def test_killed_worker_fails_the_log_check(nginx):
    server = nginx(PLAIN, module=False)
    server.send_signal(signal.SIGKILL, server.worker_pids()[0])
    server.wait_for_log("exited on signal 9")
    with pytest.raises(AssertionError, match="signal 9"):
        server.assert_clean_logs()


def test_connection_that_stays_fails_the_release(nginx):
    server = nginx(PLAIN, module=False)
    with socket.create_connection(("127.0.0.1", server.port)):
        with pytest.raises(AssertionError, match="end of all connections"):
            server.release_clients(0.05)


def test_allowed_error_passes_the_log_check(nginx):
    server = nginx("location / { root /nowhere; }", module=False)
    server.allow_errors("nowhere")
    server.request(b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n")
    server.wait_for_log("nowhere")


def test_wrong_config_fails_the_check(nginx):
    passed, output = nginx.check("location / { nonsense; }", module=False)
    assert not passed
    assert 'unknown directive "nonsense"' in output


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("mask", [None, wire.MASK], ids=["bare", "masked"])
def test_built_frame_parses_back(length, mask):
    payload = bytes(index & 255 for index in range(length))
    data = wire.binary(payload, mask=mask, fin=False, rsv=2)
    read, size = wire.parse_frame(data + b"more")
    assert size == len(data)
    assert (read.payload, read.opcode, read.fin, read.rsv) == (
        payload, wire.BINARY, False, 2)
    assert read.masked is (mask is not None)
    assert wire.parse_frame(data[:-1]) is None


def test_known_frame_is_built_as_in_the_rfc():
    assert wire.text("Hello") == bytes.fromhex("818537fa213d7f9f4d5158")
    assert wire.accept_value(wire.KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def reads_at_the_other_end(client, peer):
    """The bytes of each read, with a client that sends in pieces."""
    reads = []

    def read_all():
        while data := peer.recv(100):
            reads.append(data)

    reader = threading.Thread(target=read_all)
    reader.start()
    client.send(b"abcdef" * 4, cut="each")
    client.wait_until_read()  # send() does not wait for its last piece
    client.send(b"0123456789", cut=[3, 7])
    client.half_close()
    reader.join()
    return reads


def test_bytewise_send_waits_for_each_read(pair):
    assert reads_at_the_other_end(*pair) == [
        bytes([byte]) for byte in b"abcdef" * 4] + [b"012", b"3456", b"789"]


def test_bytewise_send_without_diagnostics_loses_nothing(pair):
    client, peer = pair
    client.send(b"!")
    assert peer.recv(1) == b"!"
    client.wait_until_read()
    client.queue.diagnostics = False
    reads = reads_at_the_other_end(client, peer)
    assert b"".join(reads) == b"abcdef" * 4 + b"0123456789"


def test_unread_byte_fails_the_bytewise_send(pair):
    client, peer = pair
    client.send(b"a")
    with pytest.raises(AssertionError, match="unread"):
        client.wait_until_read(0.05)
    assert peer.recv(1) == b"a"
    client.wait_until_read(1)


def test_end_and_reset_are_distinguished(pair):
    client, peer = pair
    peer.sendall(wire.close(1000, "bye", mask=None))
    client.expect_close(1000, "^bye$")
    client.send(b"never read")
    peer.close()
    with pytest.raises(ConnectionWasReset):
        client.expect_eof()


def test_early_end_fails_the_read(pair):
    client, peer = pair
    peer.sendall(wire.text("cut", mask=None)[:-1])
    peer.close()
    with pytest.raises(EndOfStream):
        client.read_frame()
    client.buffer.clear()
    client.expect_eof()


@pytest.mark.parametrize("options", [
    {"rsv": 1}, {"mask": wire.MASK}, {"length_bytes": 2}, {"fin": False},
], ids=lambda options: next(iter(options)))
def test_ill_formed_server_frame_fails_expect(pair, options):
    client, peer = pair
    peer.sendall(wire.text("x", **{"mask": None, **options}))
    with pytest.raises(AssertionError, match="ill-formed"):
        client.expect_text("x")


def test_tls_failure_does_not_affect_other_clients(nginx):
    server = nginx(PLAIN, module=False, tls=True)
    failing, other = (server.open(tls=True) for _ in range(2))
    other.socket.setblocking(False)
    while True:
        try:
            other.socket.recv(1)  # the tickets that follow the handshake
        except ssl.SSLWantReadError:
            break
    socket.socket.shutdown(failing.socket, socket.SHUT_WR)
    with pytest.raises(OSError):
        failing.socket.sendall(b"too late")
    with pytest.raises(ssl.SSLWantReadError):
        other.socket.recv(1)
    for client in failing, other:
        client.disconnect()
