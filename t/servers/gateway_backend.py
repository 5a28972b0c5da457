"""Backends for `websocket http` that speak uwsgi, SCGI or FastCGI. They record
and answer events as HttpBackend does."""

import email.message
import socketserver
import struct

from http_backend import Answer, Event, HttpBackend, write_raw

RECORD = struct.Struct("!BBHHBx")  # of FastCGI
BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
KEEP_CONNECTION = 1


class _Handler(socketserver.StreamRequestHandler):
    """The subclasses read a request as (variables, body). They return None at
    the end of the connection."""

    disable_nagle_algorithm = True
    wbufsize = -1
    first_line = "Status: {} Answer\r\n"

    def handle(self):
        while (request := self.read_request()) is not None:
            variables, body = request
            event = Event(variables["REQUEST_METHOD"],
                          variables["REQUEST_URI"], fields_of(variables), body,
                          self.client_address)
            self.server.backend.events.put(event)
            answer = self.server.backend.answer(event) or Answer()
            if isinstance(answer.raw, list):
                write_raw(self, answer)
                return
            self.write_answer(self.head(answer) + answer.body
                              if answer.raw is None else answer.raw)
            if not self.keeps_connection():
                return

    def head(self, answer):
        fields = [("Content-Type", answer.kind), *answer.fields]
        return (self.first_line.format(answer.status)
                + "".join(f"{name}: {value}\r\n" for name, value in fields)
                + "\r\n").encode()

    def write_answer(self, data):
        self.wfile.write(data)
        self.wfile.flush()

    def keeps_connection(self):
        return False


class _Uwsgi(_Handler):
    first_line = "HTTP/1.1 {} Answer\r\n"

    def read_request(self):
        modifier, size = struct.unpack("<BHx", self.rfile.read(4))
        assert modifier == 0
        packed = self.rfile.read(size)
        texts = []
        while packed:
            end = 2 + struct.unpack_from("<H", packed)[0]
            texts.append(packed[2:end].decode("latin-1"))
            packed = packed[end:]
        variables = unique(zip(texts[::2], texts[1::2]))
        return variables, self.rfile.read(int(variables["CONTENT_LENGTH"]))


class _Scgi(_Handler):
    def read_request(self):
        digits = b""
        while (digit := self.rfile.read(1)) != b":":
            digits += digit
        texts = self.rfile.read(int(digits)).decode("latin-1").split("\0")
        assert self.rfile.read(1) == b","
        variables = unique(zip(texts[::2], texts[1::2]))
        assert texts[0] == "CONTENT_LENGTH" and variables["SCGI"] == "1"
        return variables, self.rfile.read(int(variables["CONTENT_LENGTH"]))


class _FastCgi(_Handler):
    flags = 0

    def read_request(self):
        streams = {BEGIN: b"", PARAMS: b"", STDIN: b""}
        while head := self.rfile.read(RECORD.size):
            _, kind, _, size, padding = RECORD.unpack(head)
            streams[kind] += self.rfile.read(size)
            self.rfile.read(padding)
            if kind == STDIN and size == 0:
                self.flags = streams[BEGIN][2]
                return variables_of(streams[PARAMS]), streams[STDIN]
        return None

    def write_answer(self, data):
        for at in range(0, len(data), 8000):
            self._write_record(STDOUT, data[at:at + 8000])
        self._write_record(STDOUT, b"")
        self._write_record(END, bytes(8))
        self.wfile.flush()

    def _write_record(self, kind, data):
        self.wfile.write(RECORD.pack(1, kind, 1, len(data), 0) + data)

    def keeps_connection(self):
        return self.flags & KEEP_CONNECTION


def unique(pairs):
    """The variables by their names. None is sent twice."""
    pairs = list(pairs)
    variables = dict(pairs)
    assert len(variables) == len(pairs), pairs
    return variables


def variables_of(packed):
    """The name-value pairs of FastCGI."""
    def read_size():
        nonlocal packed
        if packed[0] < 128:
            size, packed = packed[0], packed[1:]
        else:
            size = struct.unpack_from("!I", packed)[0] & 0x7fffffff
            packed = packed[4:]
        return size

    pairs = []
    while packed:
        name, value = read_size(), read_size()
        pairs.append((packed[:name].decode("latin-1"),
                      packed[name:name + value].decode("latin-1")))
        packed = packed[name + value:]
    return unique(pairs)


def fields_of(variables):
    """The header fields among the variables."""
    fields = email.message.Message()
    for name, value in variables.items():
        if name.startswith("HTTP_"):
            fields[name[5:].replace("_", "-")] = value
    fields["Content-Type"] = variables["CONTENT_TYPE"]
    return fields


class GatewayBackend(HttpBackend):
    """protocol: uwsgi, scgi or fastcgi, as in the names of nginx's
    directives."""

    handlers = {"uwsgi": _Uwsgi, "scgi": _Scgi, "fastcgi": _FastCgi}

    def __init__(self, protocol):
        self.handler = self.handlers[protocol]
        super().__init__()

    @staticmethod
    def params(protocol):
        """Directives for the variables that are not header fields. nginx
        itself adds the length for SCGI."""
        return "".join(
            f"{protocol}_param {name} {value};\n" for name, value in (
                ("CONTENT_LENGTH", "$content_length"),
                ("CONTENT_TYPE", "$content_type"), ("SCGI", "1"),
                ("REQUEST_METHOD", "$request_method"),
                ("REQUEST_URI", "$request_uri"))
            if (protocol, name) != ("scgi", "CONTENT_LENGTH"))
