"""A Redis client that sends one command at a time, in RESP 2."""

import socket

TIMEOUT = 5


class RedisError(Exception):
    """An error reply of Redis."""


def encode(arguments):
    """A command as Redis reads it."""
    parts = [part if isinstance(part, bytes) else str(part).encode()
             for part in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(
        b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def read_reply(file):
    """Reads a reply: text, a number, None, or a list of these. Strings that
    are not UTF-8 stay bytes."""
    line = file.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("Redis has ended the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise RedisError(rest.decode())
    if kind == b"+":
        return rest.decode()
    if kind == b":":
        return int(rest)
    count = int(rest)
    if count < 0:
        return None
    if kind == b"*":
        return [read_reply(file) for _ in range(count)]
    assert kind == b"$", line
    data = file.read(count + 2)[:-2]
    if len(data) < count:
        raise ConnectionError("Redis has ended the connection")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class RedisClient:
    """One connection; `with` closes it."""

    def __init__(self, address, password=None, user=None, timeout=TIMEOUT):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        if password is not None:
            self.ask("AUTH", *([user] if user else []), password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, *arguments):
        """Sends a command; returns its reply, or raises RedisError."""
        self.socket.sendall(encode(arguments))
        return read_reply(self.file)

    def read(self):
        """Reads a message that Redis sends without a command."""
        return read_reply(self.file)

    def close(self):
        self.file.close()
        self.socket.close()
