"""Sessions over TLS, whose records and blocked writes are handled
separately."""

import signal
import socket
import ssl

import pytest

import wire
from input_splits import whole_and_bytewise
from memory_tls_client import MemoryTlsClient
from nginx_server import seconds
from tls_client import client_context
from tuned_client import (TIGHT_BUFFER, TIGHT_LISTEN, connect_tuned, framed,
                          numbered, open_tuned, send_until_refused)

TIGHT_SERVER = f"""
server {{
    listen 127.0.0.1:%%PORT1%% ssl {TIGHT_LISTEN};
    ssl_certificate %%PREFIX%%/localhost.crt;
    ssl_certificate_key %%PREFIX%%/localhost.key;
    location /echo {{ websocket echo; }}
    location /page {{ return 200 "page\\n"; }}
}}
"""
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(tls=True, servers=TIGHT_SERVER, ports=1,
                        http="ssl_protocols TLSv1.2 TLSv1.3;"
                             "keepalive_requests 100000;")


@pytest.fixture(params=VERSIONS.values(), ids=VERSIONS.keys())
def context(request):
    """Client contexts of TLS 1.2 and TLS 1.3, one for each run."""
    return client_context(request.param)


@pytest.fixture
def connect(server, context):
    """Connects to the server with default socket buffers."""
    def connect_to(**options):
        return connect_tuned(server, port=server.tls_port, tls=context,
                             **options)
    return connect_to


@pytest.fixture
def connect_tight(server, context):
    """Connects with small socket buffers."""
    return lambda: connect_tuned(server, port=server.ports[0], tls=context,
                                 kernel_buffer=TIGHT_BUFFER)


# Echo

@pytest.mark.parametrize("size", [0, 1, 125, 126, 16000, 16384, 16385, 65535,
                                  65536, 200000, 3 * MEBIBYTE // 4])
def test_message_of_any_size_is_echoed(connect, size):
    payload = bytes(index * 7 & 255 for index in range(size))
    client = connect()
    client.binary(payload)
    client.expect_binary(payload)
    client.leave()


def test_protocol_version_is_the_one_asked_for(connect, context):
    assert connect().socket.version() == {
        ssl.TLSVersion.TLSv1_2: "TLSv1.2",
        ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[context.minimum_version]


@whole_and_bytewise
def test_frames_are_echoed_however_the_records_cut_them(connect, cut):
    client = connect()
    client.send([wire.text("one"), wire.ping("two"),
                 wire.fragments(wire.TEXT, "thr", "e", "e")], cut)
    client.expect_text("one")
    client.expect_pong("two")
    client.expect_text("three")


def test_many_messages_in_one_record_are_echoed(connect):
    messages = numbered(600, 20)
    client = connect()
    data = framed(messages)
    assert len(data) < 16384
    client.send(data)
    for message in messages:
        client.expect_text(message)


def test_message_over_many_records_is_echoed(connect):
    client = connect()
    payload = bytes(range(256)) * 1000
    client.send(wire.binary(payload), cut=list(range(5000, 256000, 5000)))
    client.expect_binary(payload)


def test_frames_pipelined_after_the_handshake_are_echoed(connect):
    messages = numbered(100, 20)
    client = connect(pipelined=framed(messages))
    for message in messages:
        client.expect_text(message)


def test_messages_in_flight_are_echoed_in_order(connect):
    messages = [bytes([index]) * MEBIBYTE for index in range(6)]
    client = connect()
    client.send(map(wire.binary, messages))
    for message in messages:
        client.expect_binary(message)


# Blocked writes

@pytest.mark.parametrize("size", [20, 3000, 16384, 70000])
def test_late_reader_gets_all_replies(connect_tight, size):
    messages = numbered(min(20000, 2 * MEBIBYTE // size), size)
    data = framed(messages)
    client = connect_tight()
    sent = send_until_refused(client, data, 0.2)
    client.send(data[sent:])
    for message in messages:
        client.expect_text(message)
    client.leave()


def test_large_message_is_sent_through_small_buffers(connect_tight):
    payload = bytes(index * 11 & 255 for index in range(MEBIBYTE))
    client = connect_tight()
    client.send(wire.binary(payload), duplex=False)
    client.expect_binary(payload, seconds(10))


def test_small_messages_after_large_ones_are_echoed(connect_tight):
    large = wire.fragments(wire.BINARY, *[bytes(4000)] * 262)
    data = (large + framed(numbered(50, 20))) * 3
    client = connect_tight()
    sent = send_until_refused(client, data, 0.2)
    client.send(data[sent:])
    for _ in range(3):
        client.expect_binary(bytes(4000 * 262))
        for message in numbered(50, 20):
            client.expect_text(message)


def send_pages(client, count):
    """The number of requests, of `count`, that the server answers while the
    client does not read."""
    for sent in range(count):
        client.send(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n", duplex=False)
        try:
            client.wait_until_read(0.2)
        except AssertionError:
            return sent
    return count


def test_101_is_sent_first_even_if_it_has_to_wait(server, context):
    def connect_unread():
        return open_tuned(server, server.ports[0], tls=context,
                          kernel_buffer=TIGHT_BUFFER)

    # About so many responses fill the sockets, so one of the 101s must wait
    max_pages = send_pages(connect_unread(), 1000)
    for count in range(max_pages - 5, max_pages + 2):
        client = connect_unread()
        if send_pages(client, count) != count:
            break
        client.send(wire.upgrade_request() + wire.text("first"), duplex=False)
        for _ in range(count):
            assert client.read_response().status == 200
        assert client.read_response().status == 101
        client.expect_text("first")


# Ends

def test_leaving_client_gets_close_notify(connect):
    client = connect()
    client.leave()


@pytest.mark.parametrize("fault, code", [
    (wire.frame(3), 1002), (wire.text(b"\xff"), 1007),
    (wire.binary(bytes(MEBIBYTE + 1)), 1009),
], ids=["reserved", "bad-text", "too-big"])
def test_close_arrives_with_unread_input_waiting(connect, fault, code):
    for _ in range(5):
        client = connect()
        client.send(fault + wire.binary(bytes(MEBIBYTE)), duplex=False)
        client.expect_close(code)
        client.close(code)
        client.expect_eof()
        client.disconnect()


def test_close_arrives_after_queued_data(connect_tight):
    messages = numbered(100, 1000)
    client = connect_tight()
    client.send(framed(messages) + wire.frame(3), duplex=False)
    for message in messages:
        client.expect_text(message)
    client.expect_close(1002)
    client.expect_eof()


def test_half_closed_peer_gets_all_replies(connect):
    messages = numbered(200, 1000)
    client = connect()
    client.send(framed(messages))
    client.half_close()
    for message in messages:
        client.expect_text(message)
    client.expect_eof()


def test_peer_gets_all_replies_after_its_close_notify(server, context):
    messages = numbered(200, 1000)
    client = MemoryTlsClient(server.tls_port, context)
    client.send(wire.upgrade_request())
    assert client.run(client.tls.read, 65536).startswith(b"HTTP/1.1 101")
    client.send(framed(messages))
    client.send_close_notify()
    assert client.read_all() == b"".join(
        wire.text(message, mask=None) for message in messages)
    client.socket.close()


def test_end_without_close_notify_ends_the_session(server, connect):
    connect().disconnect()
    entry = server.wait_for_access_log(timeout=2)
    assert entry["scheme"] == "https"
    assert entry["websocket_close_by"] == "client"


def test_reset_ends_the_session_without_an_error(server, connect):
    client = connect()
    client.send(wire.binary(bytes(100000))[:-1], duplex=False)
    client.abort()
    server.wait_for_access_log(timeout=2)


@pytest.mark.parametrize("noise", [b"\x17\x03\x03\x00\x30" + bytes(48),
                                   b"\xff" * 100],
                         ids=["bad-record", "no-record"])
def test_broken_record_ends_the_session(server, connect, noise):
    client = connect()
    client.text("fine")
    client.expect_text("fine")
    below = socket.socket(fileno=client.socket.detach())
    below.setblocking(True)
    below.sendall(noise)
    server.wait_for_access_log(timeout=3)
    below.close()


# The end of the worker, also while a write is blocked

def connect_unread(server, context):
    """A client whose send queue is full."""
    client = connect_tuned(server, port=server.ports[0], tls=context,
                           kernel_buffer=TIGHT_BUFFER)
    send_until_refused(client, framed(numbered(4000, 1000)), 0.1)
    return client


@pytest.fixture
def mortal_server(nginx):
    """A server that a test may end."""
    return nginx(tls=True, servers=TIGHT_SERVER, ports=1, http="""
        ssl_protocols TLSv1.2 TLSv1.3;
        websocket_close_timeout 500ms; websocket_drain 0;""")


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_end_of_the_worker_with_blocked_writes_is_clean(
        mortal_server, context, number):
    for _ in range(3):
        connect_unread(mortal_server, context)
    mortal_server.send_signal(number)
    mortal_server.wait_for_exit(4)
    mortal_server.wait_for_access_log(3, websocket_close_code=1001)


def test_shutdown_timeout_with_blocked_writes_is_clean(nginx, context):
    server = nginx(tls=True, servers=TIGHT_SERVER, ports=1,
                   main="worker_shutdown_timeout 300ms;",
                   http="ssl_protocols TLSv1.2 TLSv1.3;")
    connect_unread(server, context)
    old = server.reload()
    server.wait_for_workers_gone(old, timeout=3)
    server.wait_for_access_log(websocket_close_code=1001)


def test_send_timeout_over_tls_ends_a_client(nginx, context):
    server = nginx(tls=True, servers=TIGHT_SERVER, ports=1, http="""
        ssl_protocols TLSv1.2 TLSv1.3;
        websocket_send_timeout 300ms;""")
    connect_unread(server, context)
    entry = server.wait_for_access_log(timeout=4)
    assert entry["websocket_close_by"] == "timeout"


def test_reset_with_blocked_writes_ends_the_session(server, context):
    connect_unread(server, context).abort()
    server.wait_for_access_log(timeout=2)


def test_quit_sends_closes_over_tls(nginx, context):
    server = nginx(tls=True, http="ssl_protocols TLSv1.2 TLSv1.3;"
                                  " websocket_drain 0;")
    clients = [connect_tuned(server, port=server.tls_port, tls=context)
               for _ in range(10)]
    server.send_signal(signal.SIGQUIT)
    for client in clients:
        client.expect_close(1001)
        client.close(1001)
        client.expect_eof()
        client.disconnect()
    server.wait_for_exit()
