"""The bytes that a worker sends in one turn of its event loop. Each turn
flushes at most 4 MB, for any number of messages and clients."""

import pytest

import wire
from preload import preloaded
from worker_probe import only_worker, stopped

LOCATIONS = """
location /room { websocket room k; websocket_send_queue 64k; }
location /echo { websocket echo; }
"""
CLIENTS = 300
PUBLISHERS = 4
MESSAGES = 3  # of each publisher
SIZE = 16 * 1024
# A pass of the flush list, the last client's share, and one echoed message
MAX_BYTES = 5 << 20


@pytest.fixture
def server(nginx, run_folder):
    """An nginx with server.max_sent(), the most bytes sent in a turn."""
    with preloaded(run_folder, "turn_counter") as preload:
        with preload.environment():
            running = nginx(LOCATIONS, listen="sndbuf=4m rcvbuf=4m")
        running.max_sent = lambda: preload.number
        yield running


def test_turn_sends_a_bounded_number_of_bytes_to_a_large_room(server):
    clients = [server.connect("/room") for _ in range(CLIENTS)]
    echo = server.connect("/echo")
    messages = [bytes([number]) * SIZE
                for number in range(PUBLISHERS * MESSAGES)]
    with stopped(only_worker(server)):
        for publisher in range(PUBLISHERS):
            own = messages[publisher * MESSAGES:][:MESSAGES]
            clients[publisher].send(b"".join(map(wire.binary, own)),
                                    duplex=False)
    first = [clients[0].read_frame().payload for _ in messages]
    assert sorted(first) == messages
    for client in clients[1:]:
        for message in first:
            client.expect_binary(message)
    echo.text("beside")
    echo.expect_text("beside")
    assert SIZE < server.max_sent() < MAX_BYTES
