"""Requests to locations with `websocket_publish`, and their responses."""

import json
import re

BINARY = "application/octet-stream"
ID = re.compile(r"[1-9]\d*-\d+")


def request(method, path="/publish?room=1", body=None, kind=None,
            version="HTTP/1.1", headers=(), chunks=None):
    """The bytes of a request. kind: the Content-Type. A body has a length
    unless it is given as a list of chunks."""
    fields = [("Host", "localhost"), *headers]
    if kind is not None:
        fields.append(("Content-Type", kind))
    if chunks is not None:
        fields.append(("Transfer-Encoding", "chunked"))
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk)
                        for chunk in [*chunks, b""])
    elif body is not None:
        body = body.encode() if isinstance(body, str) else body
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{method} {path} {version}"]
    lines += [f"{name}: {value}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def post(body, path="/publish?room=1", **options):
    return request("POST", path, body, **options)


def answer_of(response):
    """Checks that a response is 200 with JSON; returns the object."""
    assert response.status == 200, repr(response)
    assert response.header("Content-Type") == "application/json"
    assert response.header("Cache-Control") == "no-store"
    return json.loads(response.body)


class Publisher:
    """One connection that is kept alive over all requests."""

    def __init__(self, server, path="/publish?room=1", **options):
        self.client = server.open(**options)
        self.path = path

    def ask(self, method, *, cut=None, path=None, **options):
        """Sends a request; returns the response, whatever its status."""
        self.client.send(request(method, path or self.path, **options), cut)
        return self.client.read_response(bodiless=method == "HEAD")

    def post(self, body=b"", *, clients=None, **options):
        """Publishes; returns the epoch and the sequence of the message."""
        answer = answer_of(self.ask("POST", body=body, **options))
        assert set(answer) == {"id", "clients"}, answer
        assert ID.fullmatch(answer["id"]), answer
        assert clients in (None, answer["clients"]), answer
        return tuple(map(int, answer["id"].split("-")))

    def get_state(self):
        """Sends a GET; returns (clients, messages, last)."""
        answer = answer_of(self.ask("GET"))
        assert set(answer) == {"clients", "messages", "last"}, answer
        return answer["clients"], answer["messages"], answer["last"]

    def close_clients(self, arguments=""):
        """Sends a DELETE; returns the number of clients that it closes."""
        answer = answer_of(self.ask("DELETE", path=self.path + arguments))
        assert set(answer) == {"clients"}, answer
        return answer["clients"]


def refusals(server):
    """The log lines about refused requests: (status, reason)."""
    return [(int(status), reason) for status, reason in re.findall(
        r"\[info\] .* websocket: publish request refused with (\d+): (.*?), "
        r"client: ", server.log())]


def expect_refused(server, data, status, pattern, cut=None):
    """The request is refused, with one log line that has the reason. Returns
    the response."""
    before = len(refusals(server))
    response = server.request(data, cut)
    assert response.status == status, repr(response)
    answer = refusals(server)[before:]
    assert len(answer) == 1, answer
    assert answer[0][0] == status and re.search(pattern, answer[0][1]), answer
    return response
