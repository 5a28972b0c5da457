"""Builds and parses frames and handshakes of RFC 6455, both valid and
invalid."""

import base64
import dataclasses
import hashlib
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK = b"\x37\xfa\x21\x3d"


def accept_value(key):
    """The Sec-WebSocket-Accept for a key (section 4.2.2)."""
    digest = hashlib.sha1(key.encode() + GUID).digest()
    return base64.b64encode(digest).decode()


def masked(payload, mask):
    """The payload XORed with the repeated 4-byte key (section 5.3)."""
    length = len(payload)
    pattern = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big")
            ^ int.from_bytes(pattern, "big")).to_bytes(length, "big")


def shortest(length):
    """The extra length bytes of the shortest encoding (section 5.2)."""
    if length < 126:
        return 0
    return 2 if length < 65536 else 8


def header(opcode, length, *, fin=True, rsv=0, mask=MASK, length_bytes=None):
    """A frame header that claims `length`, which is not checked.

    rsv: three bits; RSV1 is 4. mask: None leaves the frame unmasked.
    length_bytes: 0, 2 or 8 extra bytes, by default the shortest form.
    """
    if length_bytes is None:
        length_bytes = shortest(length)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    second = 0x80 if mask is not None else 0
    if length_bytes == 0:
        head = struct.pack("!BB", first, second | length)
    elif length_bytes == 2:
        head = struct.pack("!BBH", first, second | 126, length)
    else:
        head = struct.pack("!BBQ", first, second | 127, length)
    return head + (mask or b"")


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=MASK,
          length_bytes=None):
    """A whole client frame; text may be given as str."""
    if isinstance(payload, str):
        payload = payload.encode()
    head = header(opcode, len(payload), fin=fin, rsv=rsv, mask=mask,
                  length_bytes=length_bytes)
    return head + (masked(payload, mask) if mask else payload)


def text(payload="", **options):
    return frame(TEXT, payload, **options)


def binary(payload=b"", **options):
    return frame(BINARY, payload, **options)


def ping(payload=b"", **options):
    return frame(PING, payload, **options)


def pong(payload=b"", **options):
    return frame(PONG, payload, **options)


def close(code=None, reason="", **options):
    """A Close frame; without a code its body is empty."""
    return frame(CLOSE, close_body(code, reason), **options)


def close_body(code=None, reason=""):
    if code is None:
        return b""
    if isinstance(reason, str):
        reason = reason.encode()
    return struct.pack("!H", code) + reason


def fragments(opcode, *parts, last=True):
    """One message in as many frames; last=False leaves it unfinished."""
    return b"".join(
        frame(opcode if index == 0 else CONTINUATION, part,
              fin=last and index == len(parts) - 1)
        for index, part in enumerate(parts))


@dataclasses.dataclass
class Frame:
    """One parsed frame. `well_formed`: a server may send it."""

    fin: bool
    rsv: int
    opcode: int
    masked: bool
    length_bytes: int
    payload: bytes

    @property
    def well_formed(self):
        return (not self.masked and self.rsv == 0
                and self.length_bytes == shortest(len(self.payload)))

    @property
    def close_code(self):
        """The code of a Close frame, None when its body is empty."""
        if not self.payload:
            return None
        return struct.unpack_from("!H", self.payload)[0]

    @property
    def close_reason(self):
        return self.payload[2:].decode()

    def __repr__(self):
        shown = self.payload[:60]
        more = f"... {len(self.payload)} bytes" if len(shown) < len(
            self.payload) else ""
        return (f"Frame(fin={self.fin}, rsv={self.rsv}, "
                f"opcode={self.opcode}, payload={bytes(shown)!r}{more})")


def parse_frame(data):
    """Returns (frame, its size in bytes), or None if it is incomplete."""
    if len(data) < 2:
        return None
    first, second = data[0], data[1]
    length, at, length_bytes = second & 0x7F, 2, 0
    if length >= 126:
        length_bytes = 2 if length == 126 else 8
        if len(data) < at + length_bytes:
            return None
        length = int.from_bytes(data[at:at + length_bytes], "big")
        at += length_bytes
    mask = bytes(data[at:at + 4]) if second & 0x80 else b""
    at += len(mask)
    if len(data) < at + length or (second & 0x80 and len(mask) < 4):
        return None
    payload = bytes(memoryview(data)[at:at + length])
    if mask:
        payload = masked(payload, mask)
    read = Frame(bool(first & 0x80), first >> 4 & 7, first & 0x0F,
                 bool(mask), length_bytes, payload)
    return read, at + length


def upgrade_request(path="/echo", *, method="GET", version="HTTP/1.1",
                    host="localhost", upgrade="websocket",
                    connection="Upgrade", key=KEY, websocket_version="13",
                    protocol=None, origin=None, headers=(), body=b""):
    """An opening handshake. For each field, None omits it and a list repeats
    it. `headers` are further (name, value) pairs."""
    fields = [
        ("Host", host), ("Upgrade", upgrade), ("Connection", connection),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", websocket_version),
        ("Sec-WebSocket-Protocol", protocol), ("Origin", origin),
    ]
    lines = [f"{method} {path} {version}"]
    for name, value in fields + list(headers):
        values = value if isinstance(value, list) else [value]
        lines += [f"{name}: {one}" for one in values if one is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
