"""The load generator with TLS, and with compressed messages."""

import ssl
import zlib

import pytest

from certificates import make_certificate
from fake_server import FakeServer
from load_generator import (Late, answer_another, assert_found, corrupt, echo,
                            echo_between_pings, echo_bytewise, fan_out, load,
                            patience, result)


@pytest.fixture(scope="module", name="tls")
def tls_context(tmp_path_factory):
    """A TLS context for a server on localhost."""
    base = make_certificate(str(tmp_path_factory.mktemp("tls")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(base + ".crt", base + ".key")
    return context


@pytest.mark.parametrize("answer", [echo, echo_bytewise, echo_between_pings])
def test_right_echo_inside_tls_counts_each_message(tls, answer):
    with FakeServer(answer, tls=tls) as server:
        found = result(load(server, "echo", "--connections=3", "--tls",
                            "--in-flight=4", "--size=126",
                            "--messages=100"))
    assert found["count"] == 100
    assert found["tls"].startswith("TLSv1.3 ")


def test_large_echo_inside_tls_counts_each_message(tls):
    with FakeServer(echo, tls=tls) as server:
        found = result(load(server, "echo", "--connections=2", "--tls",
                            "--in-flight=2", "--size=1048576",
                            "--messages=10"))
    assert found["count"] == 10


@pytest.mark.parametrize("wrong, error", [
    (corrupt, "came back changed"),
    (answer_another, "came back"),
    (lambda *_: None, "are missing"),
    (lambda server, client, _: server.sockets[client].unwrap(),
     "the server ended the connection"),
])
def test_wrong_echo_inside_tls_fails(tls, wrong, error):
    with FakeServer(Late(wrong), tls=tls) as server:
        assert_found(load(server, "echo", "--connections=2", "--tls",
                          "--messages=1000", *patience(error)),
                     error)


def test_server_without_tls_fails():
    with FakeServer(echo) as server:
        server.shake_hands = lambda client, _: server.sockets[
            client].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert_found(load(server, "echo", "--tls", "--messages=1"),
                     "TLS handshake failed")


class Deflating:
    """Inflates each message and compresses it again, with the negotiated
    context takeover. `change` may alter the result."""

    NO_TAKEOVER = ("; server_no_context_takeover"
                   "; client_no_context_takeover")

    def __init__(self, terms="", change=lambda payload: payload):
        self.extensions = "permessage-deflate" + terms
        self.server_takeover = "server_no" not in terms
        self.client_takeover = "client_no" not in terms
        self.change = change
        self.contexts = {}

    def __call__(self, server, client, frame):
        assert frame.rsv == 4
        ours, theirs = self.contexts.get(client, (None, None))
        if not theirs or not self.client_takeover:
            theirs = zlib.decompressobj(wbits=-15)
        if not ours or not self.server_takeover:
            ours = zlib.compressobj(wbits=-15)
        self.contexts[client] = ours, theirs
        payload = theirs.decompress(frame.payload + b"\0\0\xff\xff")
        server.send(client, (frame.opcode, self.answer(ours, payload)),
                    rsv=4)

    def answer(self, context, payload):
        sent = context.compress(self.change(payload))
        return (sent + context.flush(zlib.Z_SYNC_FLUSH))[:-4] or b"\0"

    def serve(self):
        return FakeServer(self, extensions=self.extensions)


@pytest.mark.parametrize("size, messages", [
    (0, 600), (20, 600), (1000, 600), (70000, 60)])
@pytest.mark.parametrize("terms", [
    "", Deflating.NO_TAKEOVER, "; server_no_context_takeover",
    "; client_max_window_bits=9; server_max_window_bits=15"])
def test_compressed_echo_is_inflated_and_compared(terms, size, messages):
    with Deflating(terms).serve() as server:
        found = result(load(server, "echo", "--connections=2", "--deflate",
                            "--in-flight=3", f"--size={size}",
                            f"--messages={messages}"))
    assert found["count"] == messages


def test_reply_that_is_not_compressed_may_be_right():
    def answer(server, client, frame):
        context = zlib.decompressobj(wbits=-15)
        server.send(client, (frame.opcode, context.decompress(
            frame.payload + b"\0\0\xff\xff")))

    with FakeServer(answer, extensions="permessage-deflate"
                    + Deflating.NO_TAKEOVER) as server:
        assert result(load(server, "echo", "--connections=2", "--deflate",
                           "--messages=20"))["count"] == 20


def test_compressed_fan_out_counts_each_delivery():
    def answer(server, _, frame):
        for client in range(len(server.sockets)):
            server.send(client, (frame.opcode, frame.payload), rsv=4)

    with FakeServer(answer, extensions="permessage-deflate"
                    + Deflating.NO_TAKEOVER) as server:
        found = result(fan_out(server, "--deflate", "--in-flight=5"))
    assert found["count"] == 240


class Keeping(Deflating):
    """Takes over contexts although its own response excludes it."""

    def __init__(self):
        super().__init__(Deflating.NO_TAKEOVER)
        self.server_takeover = True


@pytest.mark.parametrize("answer, error", [
    (Deflating(change=lambda payload: payload[:-1] + b"!"),
     "came back changed"),
    (Deflating(change=lambda payload: payload + b"!"), "came back changed"),
    (Keeping(), "cannot be inflated"),
    (Deflating("; mode=fast"), "unknown deflate parameter"),
    (Deflating("; server_max_window_bits=16"), "window"),
])
def test_wrong_compression_fails(answer, error):
    with answer.serve() as server:
        assert_found(load(server, "echo", "--connections=1", "--deflate",
                          "--size=200", "--messages=20"), error)


def test_declined_or_unsolicited_compression_fails():
    with FakeServer(echo) as server:
        assert_found(load(server, "echo", "--deflate", "--messages=1"),
                     "declined permessage-deflate")
    with FakeServer(echo, extensions="permessage-deflate") as server:
        assert_found(load(server, "echo", "--messages=1"), "not offered")


def test_compressed_reply_without_agreement_fails():
    with FakeServer(lambda server, client, frame: server.send(
            client, (frame.opcode, frame.payload), rsv=4)) as server:
        assert_found(load(server, "echo", "--messages=1"), "reserved bit")


LOCATIONS = """
location = /echo { websocket echo; }
location = /room { websocket room lobby; websocket_deflate on; }
location = /rooms { websocket rooms; websocket_rooms room-*; }
location = /room-0 { websocket room room-0; }
location = /each { websocket echo; websocket_deflate on; }
location = /all {
    websocket echo;
    websocket_deflate on;
    websocket_deflate_context_takeover on;
}
"""


@pytest.fixture(scope="module", name="module_server")
def real_server(module_nginx):
    return module_nginx(LOCATIONS, tls=True,
                        http="ssl_protocols TLSv1.2 TLSv1.3;")


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("mode, path, options", [
    ("echo", "/echo", ["--size=70000"]),
    ("echo", "/each", ["--size=3000", "--deflate"]),
    ("echo", "/all", ["--size=3000", "--deflate"]),
    ("fan-out", "/room", ["--connections=20", "--deflate"]),
    ("fan-out", "/rooms", ["--subprotocol=rooms.v1.json", "--rooms=5",
                           "--publish-path=/room-0", "--text"]),
    ("fan-out", "/room-0", ["--subprotocol=room.v1.json", "--objects",
                            "--publish-path=/room-0", "--text"]),
    ("handshake", "/each", ["--deflate"]),
    ("idle", "/each", ["--deflate", "--seconds=0.01", "--warm-up=0"]),
])
def test_the_module_is_loaded(module_server, secure, mode, path, options):
    class Target:
        port = module_server.tls_port if secure else module_server.port

    limit = [] if mode == "idle" else ["--messages=300"]
    found = result(load(Target, mode, f"--path={path}", "--in-flight=8",
                        "--connections=10", *limit, *options,
                        *(["--tls"] if secure else [])))
    assert ("tls" in found) == secure
    assert mode == "idle" or found["count"] >= 300


def test_room_that_is_refused_fails(module_server):
    assert_found(load(module_server, "fan-out", "--path=/rooms", "--rooms=200",
                      "--publish-path=/room-0", "--text", "--messages=1"),
                 "refused a room")
