"""Clients of `websocket http` that Redis keeps, and the disconnect events that
another host sends."""

from hosts import PREFIX
from nginx_server import seconds, wait_until
from status_reader import report_of

# A dead host is taken for one when its lease of 10 seconds has ended, and Redis
# has been responsive for as long. All 16 shards are looked at in 8 seconds. On a
# busy machine both may take several attempts.
TAKEN_AFTER = 60


def join(backend, host, count):
    """Connects clients; returns them by their ids."""
    found = {}
    for _ in range(count):
        client = host.connect("/app")
        found[backend.next("connect").client] = client
    return found


def kept(redis):
    """The ids of the clients that Redis keeps."""
    return {int(number) for key in redis.keys(f"{PREFIX}*}}a:*")
            for number in redis.command("HKEYS", key)}


def unfinished(host):
    """Events that have no answer yet."""
    figures = report_of(host.server)["http"]
    return figures["out"] + figures["waiting"]


def wait_until_kept(redis, clients):
    wait_until(lambda: kept(redis) == set(clients), seconds(5),
               "the clients are kept")


def ends(backend, count):
    """So many disconnect events; nothing else comes."""
    found = [backend.next("disconnect", TAKEN_AFTER)
             for _ in range(count)]
    assert backend.events.empty()
    return found


def expect_ends(backend, clients):
    found = ends(backend, len(clients))
    assert {end.client for end in found} == set(clients)
    for end in found:
        assert end.fields["WebSocket-Close-Code"] == "1006"
    return found
