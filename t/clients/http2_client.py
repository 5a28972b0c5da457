"""An HTTP/2 client that sends one request at a time."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def http2_frame(kind, flags, stream, payload=b""):
    return (struct.pack("!I", len(payload))[1:]
            + struct.pack("!BBI", kind, flags, stream) + payload)


def literal(name, value):
    """A header field without index and without Huffman code."""
    return b"\0" + b"".join(
        bytes([len(text)]) + text for text in (name.encode(), value.encode()))


class Http2Client:
    """Sends the HTTP/2 frames of a request, and reads its response."""

    def __init__(self, server):
        self.raw = server.open(port=server.ports[0])
        self.raw.send(PREFACE + http2_frame(SETTINGS, 0, 0))
        self.stream = -1

    def ask(self, path, *fields, method="GET", body=None):
        """The header block and the body of the response."""
        self.stream += 2
        fields = [(":method", method), (":scheme", "http"), (":path", path),
                  (":authority", "localhost"), *fields]
        block = b"".join(literal(*field) for field in fields)
        end = END_STREAM if body is None else 0
        self.raw.send(http2_frame(HEADERS, END_HEADERS | end, self.stream,
                                  block))
        if body is not None:
            self.raw.send(http2_frame(DATA, END_STREAM, self.stream, body))
        return self.read_answer()

    def read_answer(self):
        headers, body = None, b""
        while True:
            head = self.raw.read_bytes(9)
            payload = self.raw.read_bytes(int.from_bytes(head[:3], "big"))
            kind, flags, stream = struct.unpack("!BBI", head[3:])
            if kind == SETTINGS and not flags & ACK:
                self.raw.send(http2_frame(SETTINGS, ACK, 0))
            if stream != self.stream or kind == WINDOW_UPDATE:
                assert kind != GOAWAY, payload
                continue
            assert kind in (HEADERS, DATA), f"frame {kind}: {payload!r}"
            if kind == HEADERS:
                headers = payload
            else:
                body += payload
            if flags & END_STREAM:
                return headers, body
