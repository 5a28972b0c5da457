"""Hosts with an earlier version of the module: their rooms are apart, and a log
line reports them."""

import pytest

LOCATIONS = "location /room { websocket room $arg_k; }"
WARNING = (r"\[warn\] .*websocket: 1 hosts with an earlier version of the module"
           " use the same Redis and prefix")


@pytest.fixture
def earlier_host(redis):
    """Leaves in Redis what such a host leaves, with a prefix. Returns its
    connection for channels."""
    connections = []

    def start(prefix):
        redis.command("ZADD", f"{prefix}hosts", 1, "0123456789abcdef")
        connections.append(redis.client())
        connections[-1].ask("SUBSCRIBE", f"{prefix}b:0123456789abcdef")
        return connections[-1]

    yield start
    for each in connections:
        each.close()


def check_after_start(group):
    """The lines once the host has registered: replies of Redis come in the
    order of the commands."""
    for room in "ab":
        group[0].join(f"/room?k={room}")
    return group[0].server.log()


@pytest.mark.parametrize("prefix", ["ws:", "a*[b]?:"])
def test_host_of_an_earlier_version_is_reported_once(
        hosts, earlier_host, prefix):
    earlier_host(prefix)
    group = hosts(LOCATIONS, 1, workers=2, prefix=prefix)
    group[0].server.wait_for_log(WARNING)
    group.redis.client_kill(group.redis.subscribers()[0])
    group.allow_redis_errors()
    assert check_after_start(group).count("earlier version") == 1


@pytest.mark.parametrize("prefix", ["ws:", "other:"])
def test_no_host_of_an_earlier_version_is_no_line(hosts, earlier_host, prefix):
    """It has died, or has another prefix."""
    connection = earlier_host(prefix)
    if prefix == "ws:":
        connection.close()
    group = hosts(LOCATIONS, 1, workers=1)
    assert "earlier version" not in check_after_start(group)
