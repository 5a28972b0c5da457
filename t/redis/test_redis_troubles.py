"""The troubles that tests make are troubles, and are over in the end."""

import pytest

from nginx_server import seconds, wait_until
from redis_client import RedisClient, RedisError
from redis_faults import TROUBLES, trouble_with
from tcp_proxy import SlowRelay


class Host:
    def __init__(self, redis):
        self.relay = SlowRelay(redis.port)

    def write(self):
        """Whether Redis takes something, and answers soon."""
        try:
            with RedisClient(("127.0.0.1", self.relay.port),
                             timeout=0.1) as client:
                client.ask("SET", "a", "x" * 100000)
                return True
        except (OSError, RedisError):
            return False


class Group(list):
    """What is in `redis_faults` called a group of hosts."""

    def __init__(self, redis):
        super().__init__([Host(redis), Host(redis)])
        self.redis = redis


@pytest.fixture
def group(start_redis):
    group = Group(start_redis(keep=True))
    yield group
    for host in group:
        host.relay.close()


@pytest.mark.parametrize("name", TROUBLES)
def test_nothing_can_be_written_as_long_as_a_trouble_lasts(group, name):
    group.redis.command("SET", "before", "x" * 1000000)
    assert all(host.write() for host in group)
    with trouble_with(group, name):
        assert not any(host.write() for host in group)
    for host in group:
        wait_until(host.write, seconds(5), "a write")
    kept = group.redis.command("EXISTS", "before")
    assert kept == TROUBLES[name].keeps


@pytest.mark.parametrize("name", ["cut", "late", "silent", "deaf", "locked"])
def test_connections_from_before_are_of_no_use(group, name):
    client = RedisClient(("127.0.0.1", group[0].relay.port), timeout=0.1)
    client.ask("PING")
    with trouble_with(group, name):
        with pytest.raises((OSError, RedisError)):
            client.ask("PING")
    client.close()
