"""Random answers of a backend, valid and invalid, to be sent as they are."""

import gzip
import struct

from http_backend import Answer

LIMIT = 20000  # websocket_max_message_size of the tests
UTF8 = "aä€𝄞"
CODES = [0, 1000, 1001, 1004, 1005, 1006, 1015, 2999, 3000, 4000, 4999, 5000,
         65535, 65536, 99999999999999999999]


def text(random, size):
    return "".join(random.choices(UTF8, k=size)).encode()


def body(random):
    return random.choice([
        lambda: b"", lambda: text(random, 20), lambda: text(random, 20)[:-1],
        lambda: random.randbytes(random.randrange(300)),
        lambda: b"x" * random.choice([LIMIT - 1, LIMIT, LIMIT + 1, 5 * LIMIT]),
        lambda: b'{"actions":[{"close":' + b"1" * random.randrange(100),
        lambda: gzip.compress(b"x" * 1000),
    ])()


def chunked(random, data):
    """The body in chunks, often with a fault."""
    pieces = []
    while data:
        size = random.randint(1, len(data))
        extension = random.choice([b"", b"", b";a=b", b";" + b"x" * 100])
        pieces.append(b"%x%s\r\n%s\r\n" % (size, extension, data[:size]))
        data = data[size:]
    end = random.choice([
        b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"",
        b"0\r\n", b"g\r\n", b"-1\r\n", b"ffffffffffffffff\r\n", b"00000000",
        b"\r\n", random.randbytes(10),
    ])
    return b"".join(pieces) + end


def control_fields(random):
    """Fields of the contract and those that nginx itself obeys."""
    return random.choice([
        lambda: b"WebSocket-State: " + b"x" * random.choice(
            [0, 1, 4095, 4096, 4097, 9000]),
        lambda: b"WebSocket-State: " + random.randbytes(50),
        lambda: b"WebSocket-Close: %d" % random.choice(CODES),
        lambda: b"WebSocket-Close: %d %s" % (
            random.choice(CODES), text(random, random.randrange(200))),
        lambda: b"WebSocket-Close: 4000 " + random.randbytes(20),
        lambda: b"WebSocket-Close:" + random.choice(
            [b"", b" ", b" +1000", b" 1000,", b" 4000\t5", b" -1", b" x"]),
        lambda: b"WebSocket-Protocol: " + random.choice(
            [b"", b"a", b"b", b"a, b", b"c", random.randbytes(9)]),
        lambda: b"WebSocket-User: " + random.randbytes(300),
        lambda: b"WebSocket-Unknown: 1",
        lambda: b"X-Accel-Redirect: " + random.choice(
            [b"/nowhere", b"@static", b"@none", b"", b"/static?a=b", b"x",
             b"/../static", b"/static\0"]),
        lambda: b"X-Accel-" + random.choice(
            [b"Limit-Rate: 1", b"Buffering: no", b"Expires: 9",
             b"Charset: utf-16", b"Expires: @x"]),
    ])()


def other_field(random):
    return random.choice([
        lambda: b"Set-Cookie: a=" + random.randbytes(10).hex().encode(),
        lambda: b"Location: " + random.choice([b"/", b"", b"http://a/\xff"]),
        lambda: b"Refresh: 1; url=/", lambda: b"Retry-After: -1",
        lambda: b"WWW-Authenticate: Basic", lambda: b"Upgrade: websocket",
        lambda: b"Connection: " + random.choice(
            [b"close", b"keep-alive", b"upgrade", b""]),
        lambda: b"Content-Encoding: gzip", lambda: b"Trailer: A",
        lambda: b"Content-Type: " + random.choice(
            [b"application/octet-stream", b"application/octet-stream; a",
             b"APPLICATION/OCTET-STREAM", b"", b";", b"x" * 3000,
             b"text/html; charset=x", random.randbytes(20)]),
        lambda: b"Status: 999", lambda: b"Vary: *", lambda: b"ETag: \"",
        lambda: b"X" * random.choice([1, 9000]) + b": 1",
        lambda: b"X: " + b"x" * random.choice([0, 9000]),
        lambda: b"no colon", lambda: b": no name", lambda: b" folded: 1",
        lambda: b"A\0: b", lambda: random.randbytes(30), lambda: b"",
    ])()


def status_line(random):
    return random.choice([
        lambda: b"HTTP/1.1 %03d Answer" % random.choice(
            [200, 200, 200, 200, 204, 201, 206, 301, 304, 400, 404, 500, 503]),
        lambda: b"HTTP/1.1 %03d Answer" % random.randrange(1000),
        lambda: b"HTTP/%d.%d 200 OK" % (random.randrange(11),
                                        random.randrange(11)),
        lambda: random.choice([
            b"HTTP/1.1 200", b"HTTP/1.1 ", b"HTTP/1.1 2", b"HTTP/1.1 2000 OK",
            b"HTTP/1.1  200 OK", b"HTTP/1.1 200" + b" " * 9000, b"http/1.1 200",
            b"", b"\0", b"Status: 200 OK", b"HTTP/1.1 200 \xff\0"]),
        lambda: random.randbytes(random.randrange(40)),
    ])() if random.random() < 0.5 else b"HTTP/1.1 200 OK"


def length_fields(random, size):
    wrong = random.choice([size + 1, max(size - 1, 0), 0, 2 ** 31, 2 ** 63 - 1,
                           2 ** 63, 2 ** 64, -1, 10 ** 30])
    return random.choice([
        [b"Content-Length: %d" % size], [b"Content-Length: %d" % size],
        [b"Content-Length: %d" % size], [b"Content-Length: %d" % wrong], [],
        [b"Content-Length: x"], [b"Content-Length: "],
        [b"Content-Length: %d" % size, b"Content-Length: %d" % wrong],
    ])


def response(random, first_line=status_line):
    """A response of HTTP/1."""
    data = body(random)
    fields = [control_fields(random) for _ in range(random.choice([0, 1, 2]))]
    fields += [other_field(random) for _ in range(random.choice([0, 0, 1, 2]))]
    if random.random() < 0.3:
        data = chunked(random, data)
        fields.append(b"Transfer-Encoding: " + random.choice(
            [b"chunked", b"chunked", b"chunked", b"Chunked", b"gzip, chunked",
             b"chunked, chunked", b"x"]))
    if random.random() < 0.8:
        fields += length_fields(random, len(data))
    random.shuffle(fields)
    end = random.choice([b"\r\n", b"\r\n", b"\r\n", b"\n"])
    head = end.join([first_line(random), *fields]) + end + end
    if random.random() < 0.1:
        head = b"HTTP/1.1 %d Early\r\n\r\n" % random.randint(100, 199) + head
    return head + data + random.choice([b"", b"", b"", b"trailing"])


def record(kind, data):
    return struct.pack("!BBHHBx", 1, kind, 1, len(data), 0) + data


def records(random):
    """Records of FastCGI, which are often wrong."""
    if random.random() < 0.7:
        data = response(random, lambda random: b"Status: " + random.choice(
            [b"200", b"200 OK", b"204", b"404", b"", b"x", b"99999"]))
        return b"".join(record(6, data[at:at + 8000])
                        for at in range(0, len(data), 8000)) + random.choice(
            [record(3, bytes(8)), record(6, b"") + record(3, bytes(8)), b""])
    return b"".join(
        struct.pack("!BBHHBx", random.choice([1, 1, 1, 0, 255]),
                    random.choice([3, 6, 6, 7, 11, random.randrange(256)]),
                    random.choice([1, 1, 1, 0, 2]),
                    random.choice([size, size, 65535, 0]),
                    random.choice([0, 8, 255]))
        + response(random)[:size]
        for size in random.choices([0, 8, 100, 8000], k=random.randint(1, 5)))


def garbage(random, make=response):
    """An answer that may also be cut, divided, or end with an RST."""
    data = make(random)
    if random.random() < 0.15:
        data = data[:random.randrange(len(data) + 1)]
    if random.random() < 0.1:
        at = random.randrange(len(data) + 1)
        data = data[:at] + random.randbytes(3) + data[at + 3:]
    cuts = sorted(random.randrange(len(data) + 1)
                  for _ in range(random.choice([0, 0, 1, 3])))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
    return Answer(raw=pieces, resets=random.random() < 0.1)
