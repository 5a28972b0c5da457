"""Many clients that connect while their backend is down or silent."""

import json
import socket

import wire
from http_backend import HttpBackend, connect, unused_port
from nginx_server import seconds, wait_until
from worker_probe import cpu_seconds, only_worker

COUNT = 2000
WAITING = 700  # select() takes files up to 1,023
LOCATIONS = """
location /app {{ websocket http $arg_room pass=@app timeout=1s; }}
location /echo {{ websocket echo; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
location = /json {{ websocket_status json; }}
"""


def figures(server):
    response = server.request(b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n")
    return json.loads(response.body)["http"]


def begin_handshakes(server, count):
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(wire.upgrade_request("/app?room=1"))
        clients.append(client)
    return clients


def statuses(clients):
    """The statuses of the responses. Closes the connections."""
    found = set()
    for client in clients:
        with client:
            found.add(client.recv(4096).split()[1])
    return found


def test_many_clients_while_the_backend_is_down(nginx):
    port = unused_port()
    server = nginx(LOCATIONS.format(port=port), connections=COUNT + 1000,
                   workers=1, level="error")
    server.allow_errors(r'connect\(\) failed|event "connect"')
    echo = server.connect("/echo")
    clients = begin_handshakes(server, COUNT)
    echo.text("meanwhile")
    echo.expect_text("meanwhile")
    assert statuses(clients) == {b"502"}
    found = figures(server)
    assert found["failed"]["status"] == found["events"] == COUNT
    assert found["out"] + found["waiting"] == 0
    assert server.log().count('event "connect"') <= 2  # one in ten seconds
    backend = HttpBackend(port=port)
    try:
        connect(server, backend)
        server.release_clients()
    finally:
        backend.close()


def test_many_clients_while_the_backend_is_silent(nginx):
    """At most 100 of their events are out. The others wait without work for
    nginx, and are never sent if their clients go."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        server = nginx(LOCATIONS.format(port=silent.getsockname()[1]).replace(
            "timeout=1s", "timeout=1m"), connections=COUNT, workers=1)
        server.allow_errors('upstream|event "')
        echo = server.connect("/echo")
        clients = begin_handshakes(server, WAITING)
        wait_until(lambda: figures(server)["waiting"] == WAITING - 100,
                   seconds(5), "waiting events")
        before = cpu_seconds(only_worker(server))
        for _ in range(20):
            echo.expect_alive()
        assert cpu_seconds(only_worker(server)) - before < 0.5
        for client in clients:
            client.close()
        server.wait_for_access_log(WAITING, status=499)
        found = figures(server)
        assert (found["waiting"], found["events"]) == (0, 100)
