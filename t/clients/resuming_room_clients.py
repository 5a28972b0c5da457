"""Clients of a room that reconnect and resume each time they are closed."""

import json
import selectors
import socket
import time

import wire
from many_clients import resuming_context
from nginx_server import seconds
from raw_client import BLOCKED, TIMEOUT
from room_client import JSON, sequence


class ResumingClient:
    """One client of room.v1.json, over one connection after the other.

    sequences: the sequences of its messages; codes: the codes of its Close
    frames; broken: the number of connections that ended without a Close.
    """

    def __init__(self, pool, start="0"):
        self.pool = pool
        self.last = start
        self.sequences = []
        self.codes = []
        self.broken = self.gaps = 0
        self.epochs = []
        self.buffer = bytearray()
        self.socket = None
        self.close_received = False  # on this connection

    def connect(self):
        """Connects. A worker that shuts down before the handshake answers 503;
        the client then tries again."""
        for _ in range(100):
            if self.try_to_connect():
                return
        raise AssertionError("no worker accepts the client")

    def try_to_connect(self):
        link = socket.create_connection(self.pool.address(), TIMEOUT)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.pool.context:
            link = self.pool.context.wrap_socket(link)
        link.sendall(wire.upgrade_request(
            f"{self.pool.path}&since={self.last}", protocol=JSON))
        self.buffer = bytearray()
        while b"\r\n\r\n" not in self.buffer:
            data = link.recv(65536)
            assert data, bytes(self.buffer)
            self.buffer += data
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 503"):
            link.close()
            return False
        assert head.startswith(b"HTTP/1.1 101"), bytes(head)
        self.buffer = bytearray(rest)
        link.setblocking(False)
        self.socket = link
        self.close_received = False
        self.pool.selector.register(link, selectors.EVENT_READ, self)
        self.take_frames()
        return True

    def read(self):
        """Reads what is available; reconnects at the end."""
        alive = True
        try:
            while data := self.socket.recv(65536):
                self.buffer += data
            alive = False
        except BLOCKED:
            pass
        except OSError:
            alive = False
        self.take_frames()
        if self.close_received or not alive:
            self.broken += not self.close_received
            self.end()
            self.connect()

    def end(self):
        if self.socket is not None:
            self.pool.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None

    def take_frames(self):
        while parsed := wire.parse_frame(self.buffer):
            frame, size = parsed
            del self.buffer[:size]
            if frame.opcode == wire.CLOSE:
                self.codes.append(frame.close_code)
                self.close_received = True
                self.socket.setblocking(True)
                try:
                    self.socket.sendall(wire.close(frame.close_code))
                except OSError:
                    pass
                return
            if frame.opcode == wire.TEXT:
                self.on_object(json.loads(frame.payload))

    def on_object(self, message):
        if message["type"] == "message":
            self.last = message["id"]
            self.sequences.append(sequence(message["id"]))
        elif message["type"] == "gap":
            self.gaps += 1
        elif message["type"] == "welcome":
            self.gaps += not message["recovered"]
            self.epochs.append(message["last"].partition("-")[0])


class ResumingClients:
    """`count` clients of one path."""

    def __init__(self, server, count, path, tls=False):
        self.server = server
        self.path = path
        self.tls = tls
        self.context = resuming_context() if tls else None
        self.selector = selectors.DefaultSelector()
        self.clients = [ResumingClient(self) for _ in range(count)]
        for client in self.clients:
            client.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            client.end()
        self.selector.close()

    def address(self):
        return ("127.0.0.1",
                self.server.tls_port if self.tls else self.server.port)

    def watch(self, done, timeout, what, meanwhile=lambda: None):
        """Serves all clients until done() holds."""
        deadline = time.monotonic() + seconds(timeout)
        while not done():
            assert time.monotonic() < deadline, f"{what()}: not in {timeout} s"
            meanwhile()
            for key, _ in self.selector.select(0.005):
                key.data.read()
