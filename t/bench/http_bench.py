"""Measures the events of `websocket http`, beside plain POST requests of the
same size through the same upstream to the same backend.

The backend is an nginx that answers each request with 200 and a short body. The
clients and the backend are not measured: the result is the CPU time of the
worker for each event or request. Prints medians as a table and writes
build/bench-http.json. A wrong answer makes it fail; no result does.
"""

import contextlib
import json
import os
import selectors
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# pylint: disable=wrong-import-position,unused-import
import helper_path  # noqa: E402,F401
import wire  # noqa: E402
import bench_servers  # noqa: E402
from loopback_ports import free_ports  # noqa: E402
from measuring import (SERVER_CORES, alternate,  # noqa: E402
                       describe_machine, median, parse_run_options, pin,
                       state_of_machine)
from nginx_server import ROOT  # noqa: E402
from run_tests import allow_open_files  # noqa: E402
from tables import print_table  # noqa: E402
from worker_probe import cpu_seconds  # noqa: E402

RESULT = os.path.join(ROOT, "build/bench-http.json")
CONNECTIONS = 32
SIZES = [20, 4096]
REPLY = b"thanks"

LOCATIONS = """
location = /app { websocket http lobby pass=@backend events=message; }
location @backend { proxy_pass http://backend; }
location = /post { proxy_pass http://backend; }
"""
BACKEND = 'location / { return 200 "thanks"; }'
HTTP = """
upstream backend { server 127.0.0.1:%d; keepalive 64; keepalive_requests 1000000; }
proxy_http_version 1.1; proxy_set_header Connection "";
client_body_buffer_size 16k;
"""


class Clients:
    """Connections that each have one request out."""

    def __init__(self, port, request, answer_size):
        self.request = request
        self.answer_size = answer_size
        self.selector = selectors.DefaultSelector()
        self.sockets = [self._connect(port) for _ in range(CONNECTIONS)]

    def _connect(self, port):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.prepare(connection)
        self.selector.register(connection, selectors.EVENT_READ, [0])
        return connection

    def prepare(self, connection):
        pass

    def run(self, count):
        """So many requests, over all connections."""
        left = count - len(self.sockets)
        out = len(self.sockets)
        for connection in self.sockets:
            connection.sendall(self.request)
        while out:
            for key, _ in self.selector.select():
                data = key.fileobj.recv(65536)
                assert data, "the connection ended"
                key.data[0] += len(data)
                if key.data[0] < self.answer_size:
                    continue
                assert data.endswith(REPLY), data
                key.data[0] = 0
                if left > 0:
                    left -= 1
                    key.fileobj.sendall(self.request)
                else:
                    out -= 1

    def close(self):
        self.selector.close()
        for connection in self.sockets:
            connection.close()


class EventClients(Clients):
    def __init__(self, port, size):
        super().__init__(port, wire.text("x" * size),
                         len(wire.text(REPLY.decode(), mask=None)))

    def prepare(self, connection):
        connection.sendall(wire.upgrade_request("/app"))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(4096)
        assert head.startswith(b"HTTP/1.1 101"), head


class PostClients(Clients):
    def __init__(self, port, size):
        request = (f"POST /post HTTP/1.1\r\nHost: localhost\r\n"
                   f"Content-Length: {size}\r\n\r\n" + "x" * size).encode()
        super().__init__(port, request, self.size_of_answer(port, request))

    @staticmethod
    def size_of_answer(port, request):
        with socket.create_connection(("127.0.0.1", port)) as probe:
            probe.sendall(request)
            data = b""
            while not data.endswith(REPLY):
                data += probe.recv(4096)
            return len(data)


def measure(kind, server, size, count):
    """The CPU time of the worker for one, in microseconds."""
    pids = server.worker_pids()
    clients = kind(server.port, size)
    try:
        clients.run(2000)
        before = sum(map(cpu_seconds, pids))
        clients.run(count)
        spent = sum(map(cpu_seconds, pids)) - before
        return {"us": spent / count * 1e6}
    finally:
        clients.close()


def main():
    options = parse_run_options(__doc__)
    allow_open_files()
    os.makedirs(bench_servers.FOLDER, exist_ok=True)
    with contextlib.ExitStack() as stack:
        backend = bench_servers.start_plain(
            "http-backend", {"locations": BACKEND, "module": False})
        stack.callback(backend.stop)
        server = bench_servers.start_own(
            1, locations=LOCATIONS, name="http", http=HTTP % backend.port)
        stack.callback(server.stop)
        pin(server.worker_pids(), SERVER_CORES)
        found, rows = {}, []
        for size in SIZES:
            results = alternate({
                name: lambda kind=kind: measure(kind, server, size,
                                                int(5000 * options.seconds))
                for name, kind in (("event", EventClients),
                                   ("POST", PostClients))}, options.runs)
            event, post = (median(results[name], "us")
                           for name in ("event", "POST"))
            rows.append([f"{size:,} bytes", f"{event:.1f}", f"{post:.1f}",
                         f"{post / event:.2f}"])
            found[size] = results
        print_table("CPU time of the worker, microseconds",
                    ["message", "event", "POST", "events for each POST"], rows)
    with open(RESULT, "w", encoding="utf-8") as file:
        json.dump({"machine": describe_machine(), "now": state_of_machine(),
                   "found": found}, file, indent=1)


if __name__ == "__main__":
    main()
