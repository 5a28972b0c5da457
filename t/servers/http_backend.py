"""A backend for `websocket http`: records the events and answers them as a test
says."""

import dataclasses
import http.server
import os
import queue
import socket
import threading
import time

from nginx_server import seconds


@dataclasses.dataclass
class Event:
    """One request of nginx."""
    method: str
    path: str
    fields: http.client.HTTPMessage
    body: bytes
    peer: tuple  # of nginx's connection

    @property
    def kind(self):
        return self.fields["WebSocket-Event"]

    @property
    def client(self):
        return int(self.fields["WebSocket-Client"])

    @property
    def sequence(self):
        return int(self.fields["WebSocket-Sequence"])

    @property
    def state(self):
        return self.fields["WebSocket-State"]


@dataclasses.dataclass
class Answer:
    """The response of the backend. `raw` replaces all of it, in one piece or
    in several. The connection ends after it, also with an RST."""
    status: int = 204
    body: bytes = b""
    fields: tuple = ()
    kind: str = "text/plain"
    raw: bytes | list = None
    resets: bool = False


def write_raw(handler, answer):
    """Sends the pieces one by one."""
    if isinstance(answer.raw, bytes):
        handler.wfile.write(answer.raw)
        return
    for piece in answer.raw:
        handler.wfile.write(piece)
        handler.wfile.flush()
        time.sleep(0.001)
    if answer.resets:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      b"\1\0\0\0\0\0\0\0")
        os.close(handler.connection.detach())


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        event = Event(self.command, self.path, self.headers, body,
                      self.client_address)
        backend = self.server.backend
        backend.events.put(event)
        answer = backend.answer(event) or Answer()
        if answer.raw is not None:
            write_raw(self, answer)
            self.close_connection = True
            return
        self.send_response(answer.status)
        if answer.body or answer.status != 204:
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.fields:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        pass  # nginx ended the connection


class HttpBackend:
    """Runs until close(). `answer` is called in threads, with an Event, and
    returns an Answer; None: 204."""

    handler = _Handler

    def __init__(self, answer=lambda event: None, port=0):
        self.answer = answer
        self.events = queue.Queue()
        self._server = _Server(("127.0.0.1", port), self.handler)
        self._server.backend = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever,
                                        kwargs={"poll_interval": 0.05})
        self._thread.start()

    def reset(self):
        """Forgets the events and answers 204."""
        self.answer = lambda event: None
        while not self.events.empty():
            self.events.get()

    def next(self, kind=None, timeout=5):
        """The next event; asserts its kind."""
        event = self.events.get(timeout=seconds(timeout))
        assert kind in (None, event.kind), event
        return event

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Gate:
    """Holds events back until the test opens it."""

    def __init__(self):
        self._open = threading.Event()

    def wait(self):
        assert self._open.wait(seconds(30))

    def open(self):
        self._open.set()


def unused_port():
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(**by_kind):
    """An answer for each kind of event."""
    return lambda event: by_kind.get(event.kind)


def connect(server, backend, path="/app?room=1", **options):
    """Connects a client; returns it and its connect event."""
    client = server.connect(path, **options)
    return client, backend.next("connect")


def app(target, name="app"):
    """A location whose events go to another one."""
    return f"location = /{name} {{ websocket http $arg_room pass={target}; }}\n"


def upstream(port, options=""):
    """The servers "backend", with at least one at this port."""
    return "upstream backend {{ server 127.0.0.1:{} max_fails=0; {} }}".format(
        port, options)


def echo_messages(event):
    return Answer(200, b"echo " + event.body) if event.kind == "message" \
        else None


def expect_echo(client, text="x"):
    client.text(text)
    assert client.read_frame().payload.decode() == "echo " + text
