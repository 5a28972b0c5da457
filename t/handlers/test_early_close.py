"""Clients that a handler closes before client_connected()."""

import pytest

import plugin_builder
import wire
from worker_probe import only_worker, stopped

HANDLERS = ["expelling", "only_one", "refusing"]
LOCATIONS = "".join(
    f"location /{name} {{ websocket {name} $arg_k; }}\n" for name in HANDLERS)


@pytest.fixture(scope="module")
def server(module_nginx):
    plugin = plugin_builder.build_file("early_close.cpp")
    return module_nginx(LOCATIONS, http=f"websocket_plugin {plugin};")


def half_handshake(server, path):
    """Sends a request without its last two bytes; returns the client and these
    bytes."""
    client = server.open()
    request = wire.upgrade_request(path)
    client.send(request[:-2])
    return client, request[-2:]


def await_halves(other):
    """Waits until the worker has accepted the earlier clients, at most three,
    and has read their bytes. Each round trip is at least one turn of its event
    loop, which accepts one connection."""
    for _ in range(5):
        other.text("turn")
        other.expect_text("turn")


def expect_switching(client):
    assert client.read_response().status == 101


# Closed while earlier messages are delivered

@pytest.mark.parametrize("count", [1, 3])
def test_client_closed_while_joining_outlives_the_call(server, count):
    path = f"/expelling?k={count}"
    other = server.connect(path)
    joining = [half_handshake(server, path) for _ in range(count)]
    await_halves(other)
    with stopped(only_worker(server)):
        other.send(b"".join(
            wire.text(text) for text in ["one", "expel", "three"]))
        for client, rest in joining:
            client.send(rest)
    for text in ["one", "expel", "alive", "three"]:
        other.expect_text(text)
    for client, _ in joining:
        expect_switching(client)
        client.expect_close(4000, "expelled")
        client.close(4000)
        client.expect_eof()
    other.text("later")
    other.expect_text("later")


# Closed before the start

@pytest.mark.parametrize("together", [True, False])
def test_client_replaced_before_its_start_is_closed(server, together):
    path = f"/only_one?k={together}"
    other = server.connect("/expelling?k=pace")
    clients = [half_handshake(server, path) for _ in range(3)]
    await_halves(other)
    with stopped(only_worker(server)):
        for client, rest in clients[:3 if together else 1]:
            client.send(rest)
    for client, rest in [] if together else clients[1:]:
        client.send(rest)
    *replaced, last = [client for client, _ in clients]
    for client in replaced:
        expect_switching(client)
        client.expect_close(4001, "replaced")
        client.close(4001)
        client.expect_eof()
    expect_switching(last)
    last.text("how many")
    last.expect_text("1")


def test_client_that_closes_itself_when_created_gets_that_close(server):
    client = server.connect("/refusing?k=1")
    client.expect_close(4002, "refused")
    client.close(4002)
    client.expect_eof()
    client.disconnect()
    entry = server.wait_for_access_log()
    assert entry["websocket_close_code"] == "4002"
    assert entry["websocket_messages_out"] == "0"


@pytest.mark.parametrize("frames", [
    wire.text("late"), wire.binary(b"late"), wire.ping(b"late"),
    wire.pong(b"late"), wire.frame(wire.TEXT, b"la", fin=False),
    wire.text("late") * 1000, wire.frame(3, b"")],
    ids=["text", "binary", "ping", "pong", "fragment", "many", "wrong"])
@pytest.mark.parametrize("together", [True, False])
def test_frames_of_a_client_closed_at_its_start_reach_no_handler(
        server, frames, together):
    """The resource no longer exists."""
    request = wire.upgrade_request("/refusing?k=frames")
    client = server.open()
    client.send(request + frames if together else request)
    expect_switching(client)
    client.expect_close(4002, "refused")
    if not together:
        client.send(frames)
    client.close(4002)
    client.expect_eof()
