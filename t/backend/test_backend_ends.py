"""A disconnect follows each accepted connect, once: also when a worker or nginx
ends in whatever way."""

import collections
import os
import signal

import pytest

import wire
from http_backend import Answer, Gate, connect
from nginx_server import seconds, wait_until
from worker_picking import REUSEPORT, connect_to

LOCATIONS = """
location /app {{ websocket http $arg_room pass=@app; }}
location /none {{ websocket http $arg_room pass=@app events=message; }}
location /single {{ websocket http $arg_room pass=@app concurrency=1; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
"""
CLIENTS = 40


@pytest.fixture
def server(backend, nginx):
    return nginx(LOCATIONS.format(port=backend.port), workers=2,
                 http="websocket_drain 100ms;", **REUSEPORT)


def workers_of(server, backend, count=CLIENTS):
    """Connects clients; returns those of each worker, with their ids."""
    found = collections.defaultdict(list)
    for pid in server.worker_pids() * (count // 2):
        client = connect_to(server, pid, "/app?room=1")
        found[pid].append((client, backend.next("connect").client))
    assert len(found) == 2
    return found


def ids_of(clients):
    return {number for _, number in clients}


def all_ids(workers):
    return set().union(*map(ids_of, workers.values()))


def ends(backend, count):
    return [backend.next("disconnect") for _ in range(count)]


def test_clients_of_a_killed_worker_have_disconnected(server, backend):
    server.allow_errors("exited on signal 9")
    backend.answer = lambda event: Answer(
        204, fields=(("WebSocket-State", f"of {event.client}"),))
    clients = workers_of(server, backend)
    dead, lost = next(iter(clients.items()))
    numbers = ids_of(lost)
    talking = lost[0][0]
    talking.text("x")
    speaker = backend.next("message").client
    talking.expect_alive()
    os.kill(dead, signal.SIGKILL)
    gone = ends(backend, len(numbers))
    assert {end.client for end in gone} == numbers
    for end in gone:
        assert end.fields["WebSocket-Close-Code"] == "1006"
        assert end.state == f"of {end.client}"
        assert end.sequence == (2 if end.client == speaker else 1)
        assert end.fields["Host"]
    assert backend.events.empty()


def test_worker_that_is_killed_with_events_out(server, backend):
    """Connects and messages whose answers never came are followed too."""
    server.allow_errors("exited on signal 9")
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body or \
        event.fields["WebSocket-URI"] == "/app?room=wait" and \
        event.kind == "connect" else None
    clients = workers_of(server, backend, 10)
    for client, _ in next(iter(clients.values())):
        client.text("x")
        backend.next("message")
    client = server.open()
    client.send(wire.upgrade_request("/app?room=wait"))
    waiting = backend.next("connect").client
    for pid in clients:
        os.kill(pid, signal.SIGKILL)
    numbers = all_ids(clients) | {waiting}
    assert {end.client for end in ends(backend, len(numbers))} == numbers
    gate.open()


def test_all_workers_are_killed(server, backend):
    server.allow_errors("exited on signal 9")
    clients = workers_of(server, backend)
    for pid in clients:
        os.kill(pid, signal.SIGKILL)
    numbers = all_ids(clients)
    assert {end.client for end in ends(backend, CLIENTS)} == numbers
    assert backend.events.empty()


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_stop_at_once_ends_all_clients(server, backend, way):
    clients = workers_of(server, backend)
    server.stop(way)
    numbers = all_ids(clients)
    assert {end.client for end in ends(backend, CLIENTS)} == numbers
    assert backend.events.empty()


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGQUIT])
def test_end_of_a_single_process_while_a_connect_is_out(backend, nginx, way):
    """Nobody would end a client that is accepted then."""
    server = nginx(LOCATIONS.format(port=backend.port), master=False)
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.kind == "connect" \
        else None
    client = server.open()
    client.send(wire.upgrade_request("/app?room=1"))
    number = backend.next("connect").client
    server.send_signal(way)
    server.wait_for_log(r"signal \d+ \(SIG")
    gate.open()
    assert client.read_response().status == 503
    assert backend.next("disconnect").client == number
    server.wait_for_exit()


def test_reload_to_another_configuration(server, backend):
    """A worker of the old configuration is killed while it drains. The
    location is the same in the new one."""
    server.allow_errors("exited on signal 9")
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body == b"wait" \
        else None
    clients = workers_of(server, backend, 10)
    dead, lost = next(iter(clients.items()))
    numbers = ids_of(lost)
    for client, _ in lost:
        client.text("wait")
        backend.next("message")
    server.reload()
    os.kill(dead, signal.SIGKILL)
    assert numbers <= {end.client for end in ends(backend, 10)}
    gate.open()


@pytest.mark.parametrize("way", ["quit", "other memory"])
def test_worker_is_killed_while_all_drain(backend, nginx, way):
    """Another one that drains sends the disconnects: no new worker shares
    their memory."""
    server = nginx(LOCATIONS.format(port=backend.port), workers=2,
                   http="websocket_drain 20s; websocket_shared_memory 8m;",
                   **REUSEPORT)
    server.allow_errors("exited on signal 9")
    clients = workers_of(server, backend, 10)
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body else None
    for client, _ in [*sum(clients.values(), [])]:
        client.text("wait")
        backend.next("message")
    dead, lost = next(iter(clients.items()))
    if way == "quit":
        server.send_signal(signal.SIGQUIT)
        for pid in clients:
            server.wait_for_log(rf"{pid}#\d+: gracefully shutting down")
    else:
        server.rewrite_config("shared_memory 8m", "shared_memory 9m")
        server.reload()
    os.kill(dead, signal.SIGKILL)
    numbers = ids_of(lost)
    while numbers:
        numbers.discard(backend.next("disconnect").client)
    gate.open()


@pytest.mark.parametrize("way", [signal.SIGQUIT, signal.SIGTERM])
def test_worker_is_killed_just_before_the_last_one_ends(server, backend, way):
    """The last worker looks for the clients of the killed one once more."""
    server.allow_errors("exited on signal 9")
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body else None
    clients = workers_of(server, backend, 10)
    (dead, lost), (last, others) = clients.items()
    for client, _ in lost + others:
        client.text("wait")
        backend.next("message")
    if way == signal.SIGQUIT:
        server.send_signal(way)
        server.wait_for_log(rf"{last}#\d+: gracefully shutting down")
    os.kill(dead, signal.SIGKILL)
    server.wait_for_log(rf"process {dead} exited on signal 9")
    server.send_signal(way)
    for client, _ in others:
        client.disconnect()
    gate.open()
    assert {end.client for end in ends(backend, 10)} == all_ids(clients)
    server.wait_for_exit()


def test_failed_disconnect_is_not_repeated(server, backend):
    server.allow_errors("event \"disconnect\"")
    backend.answer = lambda event: Answer(500) if event.kind == "disconnect" \
        else None
    server.connect("/app?room=1").disconnect()
    backend.next("connect")
    backend.next("disconnect")
    server.wait_for_log("event \"disconnect\" of client")
    assert backend.events.empty()


def test_memory_for_notes_is_limited(backend, nginx):
    server = nginx(LOCATIONS.format(port=backend.port),
                   http="websocket_shared_memory 512k;")
    fields = [("X-Large", "x" * 6000)]
    request = wire.upgrade_request("/app?room=1", headers=fields)
    clients = []
    while True:
        client = server.open()
        client.send(request)
        status = client.read_response().status
        if status != 101:
            break
        clients.append(client)
    assert status == 503
    assert len(clients) > 10
    assert "websocket_shared_memory is full" in \
        server.wait_for_log("handshake refused with 503")
    clients.pop().disconnect()

    def accepted():
        again = server.open()
        again.send(request)
        return again.read_response().status == 101
    wait_until(accepted, seconds(5), "a handshake")
    # Without disconnect events there is no note
    server.connect("/none?room=1", headers=fields)


def few_connections(backend, nginx):
    server = nginx(LOCATIONS.format(port=backend.port) + """
location = /slow { proxy_pass http://127.0.0.1:1; }""",
                   connections=24)
    server.allow_errors("worker_connections are not enough")
    return server


def take_the_rest(server):
    """Takes all connections. Returns them."""
    others = []
    while "not enough" not in server.log():
        others.append(server.open())
        others[-1].send(b"POST /slow HTTP/1.1\r\nHost: a\r\n"
                        b"Content-Length: 9\r\n\r\nx")
    return others


def abort_all(clients):
    for each in clients:
        each.abort()


def take_connections(backend, nginx):
    """A client connects, then all connections are taken. Returns the server,
    the client, its id and the connections."""
    server = few_connections(backend, nginx)
    client = server.connect("/app?room=1")
    number = backend.next("connect").client
    return server, client, number, take_the_rest(server)


def close_client_without_connections(backend, nginx):
    """All connections are taken when a client ends. Returns the server, the
    id of the client and the connections."""
    server, client, number, others = take_connections(backend, nginx)
    client.abort()
    server.wait_for_log("websocket: closed by error")
    return server, number, others


def test_message_while_no_connection_is_free(backend, nginx):
    """Connections that others take close no client."""
    _, client, _, others = take_connections(backend, nginx)
    client.text("x")
    client.expect_nothing(0.3)
    abort_all(others)
    assert backend.next("message").body == b"x"
    client.expect_alive()


def test_message_while_idle_connections_take_the_rest(backend, nginx):
    """nginx closes idle connections for it."""
    server = few_connections(backend, nginx)
    client, _ = connect(server, backend)
    request = b"GET /app HTTP/1.1\r\n", b"Host: a\r\n\r\n"
    others = []
    while server.serving_pid():
        others.append(server.open())
        others[-1].send(b"".join(request))
        others[-1].read_response()
        others[-1].send(request[0])
    for each in others:
        each.send(request[1])
        each.read_response()
    client.text("x")
    assert backend.next("message").body == b"x"


def test_message_behind_a_slow_one(backend, nginx):
    """It is sent once there is a connection, while another event is out."""
    server = few_connections(backend, nginx)
    slow, client = (connect(server, backend)[0] for _ in range(2))
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.body == b"slow" else \
        None
    slow.text("slow")
    assert backend.next("message").body == b"slow"
    others = take_the_rest(server)
    client.text("x")
    client.expect_nothing(0.3)
    abort_all(others)
    assert backend.next("message").body == b"x"
    gate.open()


def test_message_that_found_no_connection_beside_busy_clients(backend, nginx):
    """It has its turn, though no place in the queue is ever unused."""
    server = few_connections(backend, nginx)
    client, *busy = (connect(server, backend, "/single?room=1")[0]
                     for _ in range(3))
    others = take_the_rest(server)
    client.text("x")
    client.expect_nothing(0.3)
    abort_all(others)
    for _ in range(1000):
        for each in busy:
            each.text("busy")
    bodies = [backend.next("message").body for _ in range(2001)]
    assert b"x" in bodies[:-100]


def test_disconnect_while_no_connection_is_free(backend, nginx):
    """It is sent once there is one."""
    _, number, others = close_client_without_connections(backend, nginx)
    abort_all(others)
    assert backend.next("disconnect").client == number


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGQUIT])
def test_end_of_nginx_while_no_connection_is_free(backend, nginx, way):
    """The listening sockets free some."""
    server, number, others = close_client_without_connections(backend, nginx)
    server.send_signal(way)
    assert backend.next("disconnect").client == number
    abort_all(others)
    server.wait_for_exit()
