"""Presence events while a worker delivers large messages for a long time."""

import pytest

from preload import preloaded
from room_client import join, read, send_text

LOCATIONS = "location /room { websocket room lobby presence=on; }"
LARGE = 250_000


@pytest.fixture
def server(nginx, run_folder):
    """An nginx whose turns a test may lengthen: server.delay.number, in ms."""
    with preloaded(run_folder, "turn_delay") as preload:
        with preload.environment():
            running = nginx(LOCATIONS)
        running.delay = preload
        yield running


@pytest.mark.parametrize("words_of", ["guest", "observer"])
def test_joined_precedes_words_also_if_delivery_takes_long(server, words_of):
    """The time of the event is up long before the words are delivered: 25
    passes flush the large message, and deliveries pause meanwhile."""
    audience = [server.connect("/room") for _ in range(400)]
    clients = {name: join(server, "/room") for name in ("observer", "guest")}
    audience[0].text("x" * LARGE)
    audience[0].read_bytes(1)
    server.delay.number = 20
    send_text(clients[words_of], "words")
    seen = []
    while not seen or seen[-1].get("data") != "words":
        seen.append(read(clients["observer"]))
    server.delay.number = 0
    guest = clients["guest"].welcome["client"]
    assert ("joined", guest) in [(each["type"], each.get("client"))
                                 for each in seen]
