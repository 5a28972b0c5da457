"""Each injected fault blocks writes to Redis until it ends."""

import pytest

from nginx_server import seconds, wait_until
from redis_client import RedisClient, RedisError
from redis_faults import FAULTS, injected_fault
from tcp_proxy import TcpProxy


class Host:
    def __init__(self, redis):
        self.proxy = TcpProxy(redis.port)

    def write(self):
        """Whether Redis accepts a write and replies soon."""
        try:
            with RedisClient(("127.0.0.1", self.proxy.port),
                             timeout=seconds(0.5)) as client:
                client.ask("SET", "a", "x" * 100000)
                return True
        except (OSError, RedisError):
            return False


class Group(list):
    """Replaces the hosts of redis_faults."""

    def __init__(self, redis):
        super().__init__([Host(redis), Host(redis)])
        self.redis = redis


@pytest.fixture
def group(start_redis):
    group = Group(start_redis(keep=True))
    yield group
    for host in group:
        host.proxy.close()


@pytest.mark.parametrize("name", FAULTS)
def test_fault_blocks_writes_until_cleared(group, name):
    group.redis.command("SET", "before", "x" * 1000000)
    for host in group:
        wait_until(host.write, seconds(5), "a write")
    with injected_fault(group, name):
        assert not any(host.write() for host in group)
    for host in group:
        wait_until(host.write, seconds(5), "a write")
    kept = group.redis.command("EXISTS", "before")
    assert kept == FAULTS[name].keeps


@pytest.mark.parametrize(
    "name", ["cut", "late", "silent", "blackhole", "locked"])
def test_fault_breaks_existing_connections(group, name):
    client = RedisClient(("127.0.0.1", group[0].proxy.port), timeout=0.1)
    client.ask("PING")
    with injected_fault(group, name):
        with pytest.raises((OSError, RedisError)):
            client.ask("PING")
    client.close()
