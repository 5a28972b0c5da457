"""The load generator of make bench reads event streams, and reports each
mistake of a server."""

import pytest

from fake_server import FakeServer
from load_generator import assert_found, load, patience, result

PIECES = {"whole": None, "bytewise": 1}


class StreamServer(FakeServer):
    """Sends the messages of WebSocket clients to all that read events."""

    def __init__(self, event, chunked=False, piece=None,
                 status="200 OK", kind="text/event-stream"):
        super().__init__(self.send_event)
        self.event, self.chunked, self.piece = event, chunked, piece
        self.head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
            + ("Transfer-Encoding: chunked\r\n" if chunked else "")
            + "\r\n").encode()
        self.streams = []

    def shake_hands(self, client, request):
        if b"Upgrade:" in request:
            super().shake_hands(client, request)
            return
        assert b"Accept: text/event-stream\r\n" in request
        self.streams.append(client)
        self.inputs[client] = bytearray()
        self.sockets[client].sendall(self.head)
        self.write(client, b": welcome\n\nevent: welcome\ndata: {}\n\n")

    def write(self, client, body):
        if self.chunked:
            body = f"{len(body):x}\r\n".encode() + body + b"\r\n"
        step = self.piece or len(body)
        for begin in range(0, len(body), step):
            self.sockets[client].sendall(body[begin:begin + step])

    def send_event(self, _, __, frame):
        for client in self.streams:
            self.write(client, self.event(frame.payload))


def plain(data):
    return b"id: 1-1\ndata: " + data + b"\n\n"


def without_space(data):
    return b"data:" + data + b"\n:\n\n"


def corrupt(data):
    return plain(data[:-1] + b"~")


def named(data):
    return b"event: other\n" + plain(data)


def read_streams(server, *options):
    return load(server, "fan-out", "--event-stream", "--publish-path=/publish",
                "--connections=3", "--in-flight=2", "--messages=20", *options)


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("event", [plain, without_space])
def test_each_event_counts(event, chunked, piece):
    with StreamServer(event, chunked, piece) as server:
        found = result(read_streams(server))
    assert (found["count"], found["messages"]) == (60, 20)


@pytest.mark.parametrize("event,error", [
    (corrupt, "not that of another"), (named, "are missing"),
    (lambda data: plain(data) * 2, "not the next one"),
])
def test_wrong_event_is_found(event, error):
    with StreamServer(event) as server:
        assert_found(read_streams(server, *patience(error)), error)


@pytest.mark.parametrize("answer,error", [
    ({"status": "404 Not Found"}, "refused: HTTP/1.1 404"),
    ({"kind": "text/plain"}, "no event stream"),
])
def test_wrong_response_is_found(answer, error):
    with StreamServer(plain, **answer) as server:
        assert_found(read_streams(server), error)


LOCATIONS = """
location /events { websocket room events; websocket_event_stream on; }
location /none { return 404; }
"""


@pytest.mark.parametrize("streams", [[], ["--streams=4"]])
def test_streams_of_nginx_count(nginx, streams):
    server = nginx(LOCATIONS, ports=1,
                   server="listen 127.0.0.1:%%PORT1%% http2;")
    server.port, plain_port = (server.ports[0] if streams else server.port,
                               server.port)
    found = result(read_streams(
        server, "--path=/events", f"--publish-port={plain_port}",
        "--connections=10", *streams, "--publish-path=/events"))
    server.port = plain_port
    assert found["count"] == 200


def test_response_of_http2_without_events_is_found(nginx):
    server = nginx(LOCATIONS, ports=1,
                   server="listen 127.0.0.1:%%PORT1%% http2;")
    plain_port, server.port = server.port, server.ports[0]
    done = read_streams(server, "--streams=4", "--path=/none",
                        f"--publish-port={plain_port}",
                        "--publish-path=/events")
    server.port = plain_port
    assert_found(done, "refused: the status is not 200")
