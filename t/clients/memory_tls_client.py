"""A TLS client whose records are read from and written to memory."""

import socket
import ssl

import pytest

from raw_client import TIMEOUT


class MemoryTlsClient:
    """TLS that is separate from its socket. Python's SSLSocket cannot read data
    after it has sent its close_notify."""

    def __init__(self, port, context):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        self.run(self.tls.do_handshake)

    def run(self, step, *arguments):
        """Calls one step of TLS until it succeeds, with the sending and reading
        that it needs."""
        while True:
            try:
                return step(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                received = self.socket.recv(65536)
                self.incoming.write(received)
                if not received:
                    self.incoming.write_eof()

    def flush(self):
        self.socket.sendall(self.outgoing.read())

    def send(self, data):
        while data:
            data = data[self.tls.write(data):]
        self.flush()

    def send_close_notify(self):
        """Sends a close_notify. Data of the server can still be read."""
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()

    def read_all(self):
        """Reads up to the server's close_notify; fails if there is none."""
        data = bytearray()
        try:
            while True:
                data += self.run(self.tls.read, 65536)
        except ssl.SSLZeroReturnError:
            return bytes(data)
