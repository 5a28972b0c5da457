"""A WebSocket server whose replies, right or wrong, the test chooses."""

import re
import select
import socket
import ssl
import threading

import wire


class FakeServer:
    """Serves on a thread until the end of the block.

    answer(server, client, frame) is called for each message; client is the
    index of the connection. It replies with `server.send`.

    extensions: the Sec-WebSocket-Extensions of the response. tls: an
    ssl.SSLContext, or None.
    """

    def __init__(self, answer, accept=wire.accept_value, extensions=None,
                 tls=None):
        self.answer = answer
        self.accept = accept
        self.extensions = extensions
        self.tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        self.inputs = []
        self.wakeup_reader, self.wakeup_writer = socket.socketpair()
        self.thread = threading.Thread(target=self.serve)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.wakeup_writer.close()
        self.thread.join()
        for one in [self.listener, self.wakeup_reader, *self.sockets]:
            one.close()

    def serve(self):
        """Reads from all clients until the end of the block. A send may
        block."""
        open_ones = [self.listener, self.wakeup_reader]
        while True:
            ready, _, _ = select.select(open_ones, [], [])
            if self.wakeup_reader in ready:
                return
            for one in ready:
                if one is self.listener:
                    client = self.accept_client()
                    open_ones += [client] if client else []
                elif not self.receive(self.sockets.index(one)):
                    open_ones.remove(one)

    def accept_client(self):
        """Accepts a client; returns its socket, or None if the TLS handshake
        failed."""
        client, _ = self.listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                client = self.tls.wrap_socket(client, server_side=True)
        except OSError:
            client.close()
            return None
        self.sockets.append(client)
        self.inputs.append(None)
        return client

    def read(self, client):
        """Reads available bytes, with those that TLS has decrypted already."""
        one = self.sockets[client]
        data = one.recv(1 << 20)
        while self.tls and one.pending():
            data += one.recv(1 << 20)
        return data

    def receive(self, client):
        """Reads from a client; returns False if it has disconnected."""
        try:
            data = self.read(client)
            if not data:
                return False
            if self.inputs[client] is None:
                self.shake_hands(client, data)
            else:
                self.inputs[client] += data
                self.take_messages(client)
        except (ConnectionError, ssl.SSLError):
            return False
        return True

    def shake_hands(self, client, request):
        """Answers the opening handshake, which must arrive in one read."""
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", request).group(1)
        self.inputs[client] = bytearray()
        self.sockets[client].sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
            + self.accept(key.decode()).encode() + b"\r\n"
            + (f"Sec-WebSocket-Extensions: {self.extensions}\r\n".encode()
               if self.extensions else b"") + b"\r\n")

    def take_messages(self, client):
        """Answers each whole message; skips other frames."""
        data = self.inputs[client]
        while found := wire.parse_frame(data):
            frame, size = found
            del data[:size]
            if frame.opcode in (wire.TEXT, wire.BINARY):
                assert frame.masked
                self.answer(self, client, frame)

    def send(self, client, *frames, rsv=0):
        """Sends frames as a server does: unmasked."""
        self.sockets[client].sendall(b"".join(
            wire.frame(opcode, payload, rsv=rsv, mask=None)
            for opcode, payload in frames))

    def send_bytewise(self, client, opcode, payload):
        """Sends one frame, each byte in its own packet."""
        for byte in wire.frame(opcode, payload, mask=None):
            self.sockets[client].sendall(bytes([byte]))
