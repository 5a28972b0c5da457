"""A WebSocket client on a plain socket that does not check its own messages.

It sends any bytes, whole or cut anywhere, and reads frames with a deadline.
Only the `expect_*` methods check the server's frames.
"""

import os
import re
import select
import socket
import ssl
import time

import wire
from socket_queue import UnreadBytes
from tls_client import client_tls

READ_SIZE = 262144
SEND_SIZE = 262144
BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def deadline_scale():
    """The factor by which a sanitizer or valgrind slows the server."""
    return float(os.environ.get("WEBSOCKET_SLOWNESS", "1"))


TIMEOUT = 5 * deadline_scale()


def wait_for(stream, seconds, reading=True, writing=False):
    """Waits until a socket is readable or writable; returns whether it is
    readable. select() cannot use descriptors above 1,023."""
    poll = select.poll()
    poll.register(stream, (select.POLLIN if reading else 0)
                  | (select.POLLOUT if writing else 0))
    return any(events & ~select.POLLOUT
               for _, events in poll.poll(max(0, seconds) * 1000))


class EndOfStream(AssertionError):
    """The server ended the connection before the expected bytes."""


class ConnectionWasReset(AssertionError):
    """An RST arrived."""


class HttpResponse:
    """A parsed response. Its `body` is without chunks."""

    def __init__(self, head):
        self.head = bytes(head)
        first, *lines = self.head.decode("latin-1").split("\r\n")
        version, status, *reason = first.split(" ", 2)
        self.version = version
        self.status = int(status)
        self.reason = reason[0] if reason else ""
        pairs = (line.split(":", 1) for line in lines if line)
        self.headers = [(name.lower(), value.strip())
                        for name, value in pairs]
        self.body = b""

    def all(self, name):
        """Every value of a header, in order."""
        return [value for known, value in self.headers
                if known == name.lower()]

    def header(self, name):
        """The value of a header, None if absent; repeated ones joined."""
        values = self.all(name)
        return ", ".join(values) if values else None

    def __repr__(self):
        return f"HttpResponse({self.head!r}, {self.body[:200]!r})"


class RawClient:
    """One connection. Each read fails at its deadline."""

    def __init__(self, address, tls=False):
        self.buffer = bytearray()
        self.ended = None
        self.response = None
        self.queue = None
        raw = socket.create_connection(address, TIMEOUT)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = client_tls(raw) if tls else raw
        self.socket.setblocking(False)

    # Sending

    def send(self, data, cut=None, duplex=True):
        """Sends bytes, or a list of them joined.

        cut: None sends all at once; a number or a list of numbers cuts at these
        offsets; "each" cuts after each byte. After a cut, the rest is sent when
        the server has read all bytes so far.

        duplex: bytes of the server are read meanwhile, so that neither side
        blocks the other. With False they stay in the socket.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            data = b"".join(data)
        at = 0
        for end in cut_positions(len(data), cut):
            self._send_piece(memoryview(data)[at:end], duplex)
            at = end
            if end < len(data):
                self.wait_until_read()

    def wait_until_read(self, timeout=None):
        """Returns when the server has read all bytes that were sent."""
        if self.queue is None:
            self.queue = UnreadBytes(self.socket)
        self.queue.wait_until_read(timeout or TIMEOUT)

    def _send_piece(self, view, duplex):
        deadline = time.monotonic() + TIMEOUT
        while len(view):
            try:
                view = view[self.socket.send(view[:SEND_SIZE]):]
                deadline = time.monotonic() + TIMEOUT
                continue
            except BLOCKED:
                pass
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"no progress in sending, {len(view)} bytes left")
            reading = duplex and not self.ended
            if wait_for(self.socket, 0.1, reading, True) and reading:
                self._fill()

    def text(self, payload, **options):
        self.send(wire.text(payload, **options))

    def binary(self, payload, **options):
        self.send(wire.binary(payload, **options))

    def ping(self, payload=b"", **options):
        self.send(wire.ping(payload, **options))

    def close(self, code=None, reason="", **options):
        """Sends a Close frame; `disconnect` ends the connection."""
        self.send(wire.close(code, reason, **options))

    def half_close(self):
        """Shuts down the sending direction, so that the server reads EOF."""
        socket.socket.shutdown(self.socket, socket.SHUT_WR)

    # Reading

    def _fill(self):
        """Reads the available bytes; returns False at the end of the stream."""
        try:
            data = self.socket.recv(READ_SIZE)
        except BLOCKED:
            return True
        except (ConnectionResetError, BrokenPipeError):
            self.ended = ConnectionWasReset("the server reset the connection")
            return False
        if not data:
            self.ended = EndOfStream("the server ended the connection")
            return False
        self.buffer += data
        return True

    def _wait_for(self, take, what, timeout):
        """Reads until take() returns something; fails at the deadline."""
        timeout = TIMEOUT if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while True:
            taken = take()
            if taken is not None:
                return taken
            if self.ended:
                raise type(self.ended)(
                    f"{self.ended} instead of {what}; "
                    f"unread: {bytes(self.buffer[:200])!r}")
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(
                    f"no {what} within {timeout} s; "
                    f"unread: {bytes(self.buffer[:200])!r}")
            pending = getattr(self.socket, "pending", lambda: 0)()
            if not pending:
                wait_for(self.socket, left)
            self._fill()

    def _take(self, size):
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def read_frame(self, timeout=None):
        """The next frame of any type."""
        def take():
            parsed = wire.parse_frame(self.buffer)
            if parsed is None:
                return None
            del self.buffer[:parsed[1]]
            return parsed[0]
        return self._wait_for(take, "frame", timeout)

    def read_response(self, timeout=None, bodiless=False):
        """The next HTTP response; bodiless: it answers a HEAD."""
        def take_head():
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = self._take(end + 4)
            return HttpResponse(head[:-4])
        response = self._wait_for(take_head, "response head", timeout)
        length = response.header("Content-Length")
        if response.status == 101 or bodiless:
            return response
        if response.header("Transfer-Encoding") == "chunked":
            response.body = self._read_chunks(timeout)
        elif length is not None:
            response.body = self.read_bytes(int(length), timeout)
        return response

    def _read_chunks(self, timeout):
        body = b""
        while True:
            line = self._read_line(timeout)
            size = int(line.split(b";")[0], 16)
            body += self.read_bytes(size + 2, timeout)[:-2]
            if size == 0:
                return body

    def _read_line(self, timeout):
        def take():
            end = self.buffer.find(b"\r\n")
            return None if end < 0 else self._take(end + 2)
        return self._wait_for(take, "line", timeout)

    def read_bytes(self, size, timeout=None):
        """Reads exactly so many bytes."""
        def take():
            return self._take(size) if len(self.buffer) >= size else None
        return self._wait_for(take, f"{size} bytes", timeout)

    # Checking

    def expect(self, opcode, payload, timeout=None):
        """The next frame is a whole, unmasked message with this payload."""
        if isinstance(payload, str):
            payload = payload.encode()
        got = self.read_frame(timeout)
        wanted = wire.Frame(True, 0, opcode, False, 0, payload)
        same = got.payload == payload and got.opcode == opcode
        assert same, f"got {got} instead of {wanted}"
        assert got.fin and got.well_formed, f"ill-formed {got}"
        return got

    def expect_text(self, payload, timeout=None):
        return self.expect(wire.TEXT, payload, timeout)

    def expect_binary(self, payload, timeout=None):
        return self.expect(wire.BINARY, payload, timeout)

    def expect_pong(self, payload=b"", timeout=None):
        return self.expect(wire.PONG, payload, timeout)

    def expect_close(self, code=None, reason_pattern=None, timeout=None):
        """The next frame is a Close with this code; None: an empty one."""
        got = self.read_frame(timeout)
        assert got.opcode == wire.CLOSE, f"got {got} instead of Close {code}"
        assert got.fin and got.well_formed, f"ill-formed {got}"
        assert len(got.payload) <= 125, f"too long: {got}"
        assert got.close_code == code, f"got {got} instead of Close {code}"
        if reason_pattern is not None:
            assert re.search(reason_pattern, got.close_reason), repr(got)
        return got

    def expect_eof(self, timeout=None):
        """The server ends its direction without more data and without an
        RST."""
        def take():
            assert not self.buffer, (
                f"got {bytes(self.buffer[:200])!r} instead of the end")
            return True if isinstance(self.ended, EndOfStream) else None
        self._wait_for(take, "end of the stream", timeout)

    def expect_nothing(self, seconds=0.05):
        """Nothing arrives for this time. `expect_alive` is faster where a Pong
        proves the same."""
        if wait_for(self.socket, seconds):
            self._fill()
        assert not self.buffer and not self.ended, (
            f"got {bytes(self.buffer[:200])!r}, {self.ended}")

    def expect_failure(self, code, reason_pattern=None, inside_frame=False):
        """The server fails the connection: it sends a Close, reads the
        client's, and ends the connection.

        inside_frame: the frame that fails is not whole. The client then ends
        its direction. Otherwise the server would wait for the rest of it.
        """
        got = self.expect_close(code, reason_pattern)
        self.close(code)
        if inside_frame:
            self.half_close()
        self.expect_eof()
        return got

    def expect_alive(self):
        """The server has read all frames and accepted them: it answers a
        Ping."""
        self.ping(b"alive?")
        self.expect_pong(b"alive?")

    def leave(self, code=1000):
        """Begins and completes the closing handshake."""
        self.close(code)
        self.expect_close(code)
        self.expect_eof()

    # Ending

    def disconnect(self):
        """Closes the socket. Repeated calls do nothing."""
        if self.queue is not None:
            self.queue.close()
            self.queue = None
        self.socket.close()

    def abort(self):
        """Ends the connection with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               b"\1\0\0\0\0\0\0\0")
        self.disconnect()


def cut_positions(length, cut):
    """The end offset of each piece."""
    if cut is None or length == 0:
        return [length]
    if cut == "each":
        return range(1, length + 1)
    cuts = [cut] if isinstance(cut, int) else cut
    inner = sorted({end for end in cuts if 0 < end < length})
    return inner + [length]
