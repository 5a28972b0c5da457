"""A client library of other authors: Python's websocket."""

import ssl

import pytest
import websocket

from raw_client import TIMEOUT

LOCATIONS = """
location /echo { websocket echo; }
location /chat { websocket echo; websocket_subprotocols chat superchat; }
location /small { websocket echo; websocket_max_message_size 10; }
"""
OPCODE_BINARY = websocket.ABNF.OPCODE_BINARY


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, tls=True)


@pytest.fixture
def connect(server):
    """Connects to a path. The connections are closed after the test."""
    opened = []

    def connect_to(path="/echo", scheme="ws", **options):
        port = server.tls_port if scheme == "wss" else server.port
        client = websocket.create_connection(
            f"{scheme}://localhost:{port}{path}", timeout=TIMEOUT,
            sslopt={"cert_reqs": ssl.CERT_NONE, "check_hostname": False},
            http_no_proxy=["localhost"], **options)
        opened.append(client)
        return client

    yield connect_to
    for client in opened:
        client.shutdown()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("text", ["", "hello", "привет", "x" * 70000],
                         ids=["empty", "short", "cyrillic", "long"])
def test_text_is_echoed(connect, scheme, text):
    client = connect(scheme=scheme)
    client.send(text)
    assert client.recv_data() == (websocket.ABNF.OPCODE_TEXT, text.encode())


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1 << 20])
def test_binary_is_echoed(connect, scheme, size):
    client = connect(scheme=scheme)
    payload = bytes(index & 255 for index in range(size))
    client.send_binary(payload)
    assert client.recv_data() == (OPCODE_BINARY, payload)


def test_ping_is_answered(connect):
    client = connect()
    client.ping("are you there")
    opcode, frame = client.recv_data_frame(control_frame=True)
    assert opcode == websocket.ABNF.OPCODE_PONG
    assert frame.data == b"are you there"


def test_fragments_are_echoed_as_one(connect):
    client = connect()
    for fin, opcode, data in [(0, 1, "a"), (0, 0, "b"), (1, 0, "c")]:
        client.send_frame(websocket.ABNF.create_frame(data, opcode, fin))
    assert client.recv() == "abc"


@pytest.mark.parametrize("offered, chosen", [
    (["superchat", "chat"], "chat"), (["superchat"], "superchat"),
    (["other", "chat"], "chat"), (None, None),
])
def test_subprotocol_is_agreed(connect, offered, chosen):
    assert connect("/chat", subprotocols=offered).getsubprotocol() == chosen


def test_origin_of_the_library_is_the_same(connect):
    client = connect()
    client.send("origin passed")
    assert client.recv() == "origin passed"


def test_foreign_origin_is_refused(connect):
    with pytest.raises(websocket.WebSocketBadStatusException) as caught:
        connect(origin="http://evil.example")
    assert caught.value.status_code == 403


def test_close_is_answered_by_its_code(connect):
    client = connect()
    client.send_close(4321, b"enough")
    opcode, body = client.recv_data(control_frame=True)
    assert (opcode, body[:2]) == (
        websocket.ABNF.OPCODE_CLOSE, (4321).to_bytes(2, "big"))


def test_message_over_the_limit_closes_with_1009(connect):
    client = connect("/small")
    client.send("12345678901")
    opcode, body = client.recv_data(control_frame=True)
    assert (opcode, body[:2]) == (
        websocket.ABNF.OPCODE_CLOSE, (1009).to_bytes(2, "big"))


def test_many_clients_talk_at_once(connect):
    clients = [connect() for _ in range(50)]
    for turn in range(5):
        for index, client in enumerate(clients):
            client.send(f"{index} {turn}")
        for index, client in enumerate(clients):
            assert client.recv() == f"{index} {turn}"
