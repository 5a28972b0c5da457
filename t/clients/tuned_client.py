"""RawClients with small socket buffers, TLS, or no reading."""

import select
import socket
import ssl

import wire
from raw_client import BLOCKED, TIMEOUT, RawClient

# Parameters of `listen` for small kernel buffers, which are soon full.
TIGHT_LISTEN = "sndbuf=16k rcvbuf=16k"
TIGHT_BUFFER = 8192


class TunedClient(RawClient):
    """A RawClient whose socket options are set before it connects.

    kernel_buffer: the size of its buffer in each direction, in bytes. tls: an
    ssl.SSLContext, or None for a plain connection.
    """

    def __init__(self, address, *, kernel_buffer=None, tls=None):
        self.buffer = bytearray()
        self.ended = self.response = self.queue = None
        raw = socket.socket()
        raw.settimeout(TIMEOUT)
        if kernel_buffer:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                raw.setsockopt(socket.SOL_SOCKET, option, kernel_buffer)
        raw.connect(address)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # An end without close_notify is an error
        self.socket = raw if tls is None else tls.wrap_socket(
            raw, suppress_ragged_eofs=False)
        self.socket.setblocking(False)


def open_tuned(server, port=None, **options):
    """A TunedClient that has sent nothing. The server disconnects it."""
    client = TunedClient(("127.0.0.1", port or server.port), **options)
    server.clients.append(client)
    return client


def connect_tuned(server, path="/echo", port=None, pipelined=b"", headers=(),
                  **options):
    """A TunedClient after its handshake."""
    client = open_tuned(server, port, **options)
    client.send(wire.upgrade_request(path, headers=headers) + pipelined)
    client.response = client.read_response()
    assert client.response.status == 101, repr(client.response)
    return client


def connect_tight(server, path="/echo", port=None, **options):
    """A client with small buffers in the kernel."""
    return connect_tuned(server, path, port,
                         kernel_buffer=TIGHT_BUFFER, **options)


def connect_blocking(server, tls=None, path="/echo", **fields):
    """A plain socket after its handshake."""
    port = server.tls_port if tls else server.port
    client = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    if tls:
        client = tls.wrap_socket(client)
    client.sendall(wire.upgrade_request(path, **fields))
    received = b""
    while not received.endswith(b"\r\n\r\n"):
        received += client.recv(4096)
    assert received.startswith(b"HTTP/1.1 101"), received
    return client


def send_until_refused(client, data, patience=0.3):
    """Sends without reading until the server accepts no byte for `patience`
    seconds, or ends the connection. Returns the number of bytes sent."""
    view, sent = memoryview(data), 0
    while sent < len(view):
        try:
            sent += client.socket.send(view[sent:sent + 65536])
        except BLOCKED:
            _, writable, _ = select.select([], [client.socket], [], patience)
            if not writable:
                break
        except (ConnectionError, ssl.SSLEOFError):
            break
    return sent


def numbered(count, size):
    """Distinct text messages of one size, which begin with their numbers."""
    return [f"{index:08d}".ljust(size, ".") for index in range(count)]


def framed(messages):
    """The frames of the messages, joined."""
    return b"".join(map(wire.text, messages))
