"""A client's end of permessage-deflate (RFC 7692) with Python's zlib."""

import re
import zlib

import wire

RSV1 = 4
TAIL = b"\x00\x00\xff\xff"


class DeflatingPeer:
    """A client that offers the extension and uses the parameters of the
    server's response."""

    def __init__(self, server, path="/echo", offer="permessage-deflate",
                 **options):
        headers = [("Sec-WebSocket-Extensions", offer)] if offer else []
        self.client = server.connect(path, headers=headers, **options)
        self.answer = self.client.response.header("Sec-WebSocket-Extensions")
        parts = re.split(r"\s*;\s*", self.answer or "")
        self.agreed = parts[0] == "permessage-deflate"
        self.terms = dict((part.split("=") + [None])[:2] for part in parts[1:])
        self.window_out = int(self.terms.get("client_max_window_bits") or 15)
        self.window_in = int(self.terms.get("server_max_window_bits") or 15)
        self.compressor = self.decompressor = None

    def compress(self, payload, level=6):
        """Compresses the payload of a message."""
        if (self.compressor is None
                or "client_no_context_takeover" in self.terms):
            self.compressor = zlib.compressobj(
                level, wbits=-max(self.window_out, 9))
        out = self.compressor.compress(payload)
        out += self.compressor.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(TAIL)
        return out[:-4]

    def decompress(self, payload):
        """Inflates the payload of a message."""
        if (self.decompressor is None
                or "server_no_context_takeover" in self.terms):
            self.decompressor = zlib.decompressobj(wbits=-self.window_in)
        return self.decompressor.decompress(payload + TAIL)

    def send(self, text, opcode=wire.TEXT, cut=None):
        """Sends one message, compressed, in one frame."""
        payload = text.encode() if isinstance(text, str) else text
        self.client.send(wire.frame(opcode, self.compress(payload), rsv=RSV1),
                         cut)

    def read(self):
        """The next message: (opcode, payload, whether it was compressed)."""
        frame = self.client.read_frame()
        assert frame.fin and not frame.masked, frame
        if frame.rsv == 0:
            assert frame.well_formed, frame
            return frame.opcode, frame.payload, False
        assert frame.rsv == RSV1 and frame.opcode in (wire.TEXT, wire.BINARY)
        return frame.opcode, self.decompress(frame.payload), True

    def expect(self, text, compressed=True):
        payload = text.encode() if isinstance(text, str) else text
        opcode, got, was = self.read()
        assert got == payload, (got[:100], payload[:100])
        assert was == compressed
        return opcode
