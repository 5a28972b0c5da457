"""Many clients at once, on plain sockets and one selector.

They send no message. They answer a Close frame with the same code and wait for
the end of the connection. Each records the time and the code of its Close
frame.
"""

import contextlib
import dataclasses
import resource
import selectors
import socket
import ssl
import time

import pytest

import wire
from raw_client import BLOCKED, TIMEOUT
from tls_client import client_context


def need_open_files(count):
    """Raises the limit of open files to `count`, or skips the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (resource.RLIM_INFINITY,) and hard < count:
        pytest.skip(f"only {hard} open files are allowed")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def resuming_context():
    """A TLS context whose later handshakes resume the first session."""
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclasses.dataclass
class Member:
    """One client. Its times are those of time.monotonic()."""

    socket: socket.socket
    received: bytearray
    closed: float = None
    code: int = None
    ended: float = None
    orderly: bool = False


class ClientPool:
    """`count` clients of one path."""

    def __init__(self, server, count, path="/echo", tls=False, answers=True):
        self.address = ("127.0.0.1",
                        server.tls_port if tls else server.port)
        self.path = path
        self.context = resuming_context() if tls else None
        self.session = None
        self.answers = answers
        self.selector = selectors.DefaultSelector()
        self.members = []
        try:
            for _ in range(count):
                self.members.append(self._connect())
        except BaseException:
            self.disconnect()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.disconnect()

    def _connect(self):
        link = socket.create_connection(self.address, TIMEOUT)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            link = self.context.wrap_socket(link, session=self.session,
                                            suppress_ragged_eofs=False)
            self.session = self.session or link.session
        link.sendall(wire.upgrade_request(self.path))
        received = bytearray()
        while b"\r\n\r\n" not in received:
            data = link.recv(4096)
            assert data, bytes(received)
            received += data
        head, _, rest = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), bytes(head)
        link.setblocking(False)
        member = Member(link, bytearray(rest))
        self.selector.register(link, selectors.EVENT_READ, member)
        return member

    def closed(self):
        """The clients that got a Close frame, in that order."""
        return sorted((one for one in self.members if one.closed is not None),
                      key=lambda one: one.closed)

    def wait_for_closed(self, count, timeout=TIMEOUT):
        """Waits until `count` clients got a Close frame; returns all that
        did."""
        self._watch(lambda: len(self.closed()) >= count, timeout,
                    lambda: f"{len(self.closed())} of {count} Close frames")
        return self.closed()

    def wait_for_ends(self, timeout=TIMEOUT):
        """Waits until the server has ended each connection in order."""
        def left():
            return [one for one in self.members if one.ended is None]
        self._watch(lambda: not self.selector.get_map(), timeout,
                    lambda: f"{len(left())} connections are left")
        broken = [one for one in self.members if not one.orderly]
        assert not broken, f"{len(broken)} ends out of order: {broken[0]}"

    def _watch(self, done, timeout, what):
        deadline = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < deadline, f"{what()} in {timeout} s"
            for key, _ in self.selector.select(0.05):
                self._read(key.data)

    def _read(self, member):
        end = None
        try:
            while data := member.socket.recv(65536):
                member.received += data
            end = "orderly"
        except BLOCKED:
            pass
        except OSError:
            end = "broken"
        self._take_frames(member)
        if end:
            self._end(member, end == "orderly")

    def _take_frames(self, member):
        while parsed := wire.parse_frame(member.received):
            frame, size = parsed
            del member.received[:size]
            self._take(member, frame)

    def _take(self, member, frame):
        assert frame.opcode == wire.CLOSE, frame
        assert member.closed is None, f"a second Close: {frame}"
        member.closed = time.monotonic()
        member.code = frame.close_code
        if self.answers:
            with contextlib.suppress(OSError):
                member.socket.sendall(wire.close(frame.close_code))

    def _end(self, member, orderly):
        self.selector.unregister(member.socket)
        member.ended = time.monotonic()
        member.orderly = orderly and member.closed is not None
        member.socket.close()

    def leave(self, count=None):
        """Ends the connections of `count` clients, or of all, without a Close
        frame."""
        for member in self.members[:count]:
            if member.ended is None:
                self._end(member, orderly=True)
        del self.members[:count]

    def disconnect(self):
        """Closes all sockets that are still open."""
        for member in self.members:
            member.socket.close()
        self.selector.close()
