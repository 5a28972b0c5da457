"""One connection of the soak: a non-blocking socket, plain or with TLS, and its
received frames."""

import re
import selectors
import socket
import ssl
import time
import zlib

import wire
from raw_client import BLOCKED

READ_SIZE = 65536
MUCH = 16 * READ_SIZE
RSV1 = 4
TAIL = b"\x00\x00\xff\xff"


class Deflate:
    """permessage-deflate with the parameters of the server's response."""

    def __init__(self, answer):
        parts = re.split(r"\s*;\s*", answer)
        assert parts[0] == "permessage-deflate", answer
        self.terms = dict((part.split("=") + [None])[:2] for part in parts[1:])
        self.window_out = int(self.terms.get("client_max_window_bits") or 15)
        self.window_in = int(self.terms.get("server_max_window_bits") or 15)
        self.compressor = self.decompressor = None

    def compress(self, payload):
        if (self.compressor is None
                or "client_no_context_takeover" in self.terms):
            self.compressor = zlib.compressobj(
                1, wbits=-max(self.window_out, 9))
        out = self.compressor.compress(payload)
        return (out + self.compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def decompress(self, payload):
        if (self.decompressor is None
                or "server_no_context_takeover" in self.terms):
            self.decompressor = zlib.decompressobj(wbits=-self.window_in)
        return self.decompressor.decompress(payload + TAIL)


class Connection:
    """A connection. It calls `owner.received(connection)` after a read, and
    `owner.ended(connection, broken)` once, unless the owner ended it."""

    def __init__(self, selector, address, owner, context=None, room=None):
        self.selector = selector
        self.owner = owner
        self.opened = time.monotonic()
        self.received = bytearray()
        self.unsent = bytearray()
        self.paused = False
        self.shaking = context is not None
        self.open = True
        plain = socket.socket()
        if room:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        plain.connect(address)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setblocking(False)
        self.socket = plain if context is None else context.wrap_socket(
            plain, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        selector.register(self.socket, selectors.EVENT_WRITE, self)

    # Called by the owner

    def send(self, data):
        """Sends the bytes now, or later in the same order."""
        self.unsent += data
        self._flush()

    def pause(self, paused=True):
        """Stops or continues reading."""
        self.paused = paused
        self._watch()

    def half_close(self):
        """Shuts down the sending direction, without a close_notify of TLS."""
        try:
            socket.socket.shutdown(self.socket, socket.SHUT_WR)
        except OSError:
            pass  # the server has ended the connection already

    def abort(self):
        """Ends the connection with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self):
        if self.open:
            self.open = False
            if self.socket in self.selector.get_map():
                self.selector.unregister(self.socket)
            self.socket.close()

    # Called by the selector

    def turn(self):
        """Reads and writes as much as the socket allows."""
        if self.shaking and not self._shake_hands():
            return
        self._flush()
        if self.open and not self.paused:
            self._read()

    def _shake_hands(self):
        try:
            self.socket.do_handshake()
            self.shaking = False
            return True
        except BLOCKED:
            self._watch()
        except OSError:
            self._end(broken=True)
        return False

    def _flush(self):
        if self.shaking or not self.open:
            return
        try:
            while self.unsent:
                del self.unsent[:self.socket.send(self.unsent[:READ_SIZE])]
        except BLOCKED:
            pass
        except OSError:
            self.unsent.clear()  # bytes from before the end can still be read
        self._watch()

    def _watch(self):
        wanted = 0 if self.paused else selectors.EVENT_READ
        if self.unsent:
            wanted |= selectors.EVENT_WRITE
        known = self.socket in self.selector.get_map()
        if known and wanted:
            self.selector.modify(self.socket, wanted, self)
        elif known:
            self.selector.unregister(self.socket)
        elif wanted:
            self.selector.register(self.socket, wanted, self)

    def _read(self):
        broken = None
        try:
            while data := self.socket.recv(READ_SIZE):
                self.received += data
                if len(self.received) > MUCH and not self._more_in_tls():
                    break
            else:
                broken = ""
        except BLOCKED:
            pass
        except OSError as fault:
            broken = repr(fault)
        if self.received:
            self.owner.received(self)
        if broken is not None and self.open:
            self._end(broken)

    def _more_in_tls(self):
        return isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()

    def _end(self, broken):
        self.close()
        self.owner.ended(self, broken)


def frames_of(received, deflate):
    """Removes the whole frames from the buffer; returns them inflated."""
    while parsed := wire.parse_frame(received):
        frame, size = parsed
        del received[:size]
        assert frame.fin and not frame.masked, frame
        if frame.rsv:
            assert frame.rsv == RSV1 and deflate, frame
            frame.payload = deflate.decompress(frame.payload)
        yield frame
