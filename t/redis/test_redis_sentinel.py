"""Sentinels: the master is found, and followed when it changes."""

import contextlib
import time

import pytest

from certificates import Authority
from fake_sentinel import FakeSentinel
from hosts import PREFIX, SHORT_TIMEOUTS, Host
from name_server import NameServer
from nginx_server import seconds, wait_until
from redis_faults import (Received, try_to_connect, wait_until_joined,
                          wait_until_published)
from room_client import publish, read, read_data, send_text
from sentinels import MASTER, SentinelGroup
from sequence_publisher import SequencePublisher
from socket_table import connections_of

LOCATIONS = """
location /room { websocket room room history=100000; }
location /publish { websocket_publish room room; }
"""
DEAD = 1  # no server listens at this port


@pytest.fixture
def start_sentinels():
    """Starts a SentinelGroup with these options."""
    started = []

    def start(**options):
        started.append(SentinelGroup(**options))
        return started[-1]

    yield start
    for group in started:
        group.remove()


@pytest.fixture
def real(start_sentinels):
    return start_sentinels()


@pytest.fixture
def fake():
    """Starts a FakeSentinel that names this server."""
    with contextlib.ExitStack() as stack:
        def start(redis, **options):
            sentinel = FakeSentinel("127.0.0.1", redis.port, **options)
            stack.callback(sentinel.close)
            return sentinel
        yield start


def start(hosts, master, url, options=SHORT_TIMEOUTS, **more):
    """Starts two hosts with two workers each."""
    group = hosts(LOCATIONS, redis=master, url=url, options=options, **more)
    group.allow_redis_errors()
    return group


def start_with_fakes(hosts, redis, *sentinels, **more):
    ports = ",".join(f"127.0.0.1:{each.port}" for each in sentinels)
    return start(hosts, redis, f"sentinel://{ports}/{MASTER}", **more)


def check_that_hosts_work(group):
    clients = [wait_until_joined(host, "/room") for host in group]
    for number, host in enumerate(group):
        text = wait_until_published(host, "/publish", f"post {number}")
        for client in clients:
            assert Received(client, text).messages
    for client in clients:
        client.disconnect()


def uses(group, redis):
    """Whether each worker has connected to this Redis."""
    return all(connections_of(pid, redis.port)
               for host in group for pid in host.pids())


def leaves(group, redis):
    """Whether no worker is connected to this Redis."""
    return not any(connections_of(pid, redis.port)
                   for host in group for pid in host.pids())


# The master is found

def test_room_spans_hosts(hosts, real):
    group = start(hosts, real.master, real.url())
    clients = group.on_each_worker(Host.join, "/room")
    for number, client in enumerate(clients):
        send_text(client, f"{number}")
        for other in clients:
            assert read_data(other) == [f"{number}"]
    assert uses(group, real.master) and leaves(group, real.replica)
    for host in group:
        assert "[error]" not in host.server.log()


def test_password_and_database_are_used(hosts, start_sentinels):
    real = start_sentinels(password="secret")
    group = start(hosts, real.master, real.url() + "/2")
    check_that_hosts_work(group)
    with real.master.client() as client:
        assert client.ask("KEYS", f"{PREFIX}*") == []
        client.ask("SELECT", "2")
        assert client.ask("KEYS", f"{PREFIX}*")


def test_sentinels_without_a_password_get_none_wrong(hosts, start_redis, fake):
    """A sentinel that requires no password refuses one."""
    redis = start_redis(requirepass="secret")
    sentinel = fake(redis)
    group = start(hosts, redis, f"sentinel://:secret@127.0.0.1:{sentinel.port}"
                                f"/{MASTER}")
    check_that_hosts_work(group)


def test_all_connections_use_tls(hosts, start_sentinels, tmp_path):
    authority = Authority(tmp_path)
    real = start_sentinels(tls=authority.sign("right"))
    group = start(hosts, real.master, real.url(),
                  f"{SHORT_TIMEOUTS} ca={authority.certificate}")
    check_that_hosts_work(group)


def test_name_of_a_host_is_resolved(hosts, redis):
    """Sentinels can name hosts instead of addresses."""
    names = NameServer("127.0.0.1")
    sentinel = FakeSentinel("redis.invalid", redis.port)
    try:
        group = start_with_fakes(
            hosts, redis, sentinel,
            http=f"resolver 127.0.0.1:{names.port} ipv6=off;")
        check_that_hosts_work(group)
        group.close()
    finally:
        sentinel.close()
        names.close()


def test_name_without_a_resolver_is_an_error(hosts, redis, fake):
    sentinel = fake(redis)
    sentinel.master = ("redis.invalid", 1)
    group = start_with_fakes(hosts, redis, sentinel)
    for host in group:
        host.server.wait_for_log(
            rf"127.0.0.1:{sentinel.port}: no resolver for the master "
            r"redis.invalid:1; retrying")


# Faults of sentinels

def test_dead_sentinels_are_passed_over(hosts, real):
    real.sentinels[0].kill()
    ports = [DEAD] + [each.port for each in real.sentinels]
    group = start(hosts, real.master, real.url(ports))
    check_that_hosts_work(group)
    for host in group:
        assert "[error]" not in host.server.log()


def test_silent_sentinel_delays_nobody(hosts, real):
    """It accepts connections and does not answer."""
    real.sentinels[0].freeze()
    group = start(hosts, real.master, real.url(), "connect_timeout=1h")
    check_that_hosts_work(group)


def test_dead_sentinels_are_reported_and_tried_again(hosts, real):
    for each in real.sentinels:
        each.kill()
    group = start(hosts, real.master, real.url())
    refused = r"connect\(\) failed \(111: Connection refused\)"
    answers = "; ".join(rf"127.0.0.1:{each.port}: {refused}"
                        for each in real.sentinels)
    for host in group:
        host.server.wait_for_log(
            r"\[error\].* cannot use Redis at sentinel://127.0.0.1:\d+,"
            rf"\S+/{MASTER}: sentinels: {answers}; retrying")
        assert try_to_connect(host, "/room")[0] == 503
    real.sentinels[2].restart()
    check_that_hosts_work(group)
    for host in group:
        host.server.wait_for_log(
            rf"reconnected to Redis at sentinel://\S+/{MASTER}: the master is "
            rf"127.0.0.1:{real.master.port}\n")


def test_unknown_master_is_reported(hosts, real):
    group = start(hosts, real.master, real.url(master="other"))
    answers = "; ".join(
        rf"127.0.0.1:{each.port}: it knows no master of this name"
        for each in real.sentinels)
    for host in group:
        host.server.wait_for_log(rf"\[error\].*/other: sentinels: {answers}; "
                                 "retrying")
        assert try_to_connect(host, "/room")[0] == 503


def test_replica_is_refused(hosts, real, fake):
    """The sentinel names it as the master."""
    liar = fake(real.replica)
    group = start_with_fakes(hosts, real.master, liar)
    for host in group:
        host.server.wait_for_log(
            rf"\[error\].*: 127.0.0.1:{real.replica.port}: it is not a master, "
            rf"as ROLE shows; sentinels: 127.0.0.1:{liar.port}: the master is "
            rf"127.0.0.1:{real.replica.port}; retrying")
        assert try_to_connect(host, "/room")[0] == 503


@pytest.mark.parametrize("epoch", [0, 99], ids=["older", "newer"])
def test_sentinel_that_lies_is_passed_over(hosts, real, fake, epoch):
    liar = fake(real.replica, epoch=epoch)
    group = start_with_fakes(hosts, real.master, liar, real.sentinels[0])
    wait_until(lambda: uses(group, real.master), seconds(5), "the master")
    check_that_hosts_work(group)
    assert leaves(group, real.replica)


def test_newest_configuration_wins(hosts, redis, start_redis, fake):
    old, other = fake(start_redis(), epoch=3), fake(redis, epoch=4)
    group = start_with_fakes(hosts, redis, old, other)
    wait_until(lambda: uses(group, redis), seconds(5), "the newer master")
    check_that_hosts_work(group)


# The master changes

def test_announced_master_is_used_at_once(hosts, redis, start_redis, fake):
    """The earlier one still works, and the other sentinels name it."""
    stale, sentinel = fake(redis, epoch=5), fake(redis, epoch=5)
    group = start_with_fakes(hosts, redis, stale, sentinel)
    check_that_hosts_work(group)
    new = start_redis()
    sentinel.announce("127.0.0.1", new.port, 6)
    wait_until(lambda: uses(group, new) and leaves(group, redis), seconds(2),
               "the new master")
    check_that_hosts_work(group)
    for host in group:
        assert f"the sentinels name another master: 127.0.0.1:{new.port}" in \
            host.server.log()


@pytest.mark.parametrize("alone", [False, True])
def test_announcement_of_an_older_configuration_changes_nothing(
        hosts, redis, start_redis, fake, alone):
    """Also if the sentinel with the newer one has gone."""
    sentinel, stale = fake(redis, epoch=5), fake(redis, epoch=4)
    group = start_with_fakes(hosts, redis, sentinel, stale)
    check_that_hosts_work(group)
    if alone:
        sentinel.close()
    stale.announce("127.0.0.1", start_redis().port, 3)
    wait_until(lambda: stale.asked >= 8, seconds(5), "another question")
    check_that_hosts_work(group)
    assert uses(group, redis)
    for host in group:
        assert "another master" not in host.server.log()


@pytest.mark.alone
@pytest.mark.parametrize("trouble", ["fail_over", "freeze"])
def test_master_that_keeps_its_connections_is_left(hosts, start_sentinels,
                                                   trouble):
    real = start_sentinels(down_after=500)
    group = start(hosts, real.master, real.url(), "command_timeout=1h")
    check_that_hosts_work(group)
    with real.announcements() as announcements:
        if trouble == "freeze":
            real.master.freeze()
        else:
            real.fail_over()
        began = announcements.wait()
    wait_until(lambda: uses(group, real.replica) and leaves(group, real.master),
               began + seconds(2) - time.monotonic(), "the new master")
    check_that_hosts_work(group)


@pytest.mark.alone
def test_failover_under_load_loses_nothing_that_the_new_master_has(
        hosts, start_sentinels):
    real = start_sentinels(down_after=500)
    group = start(hosts, real.master, real.url())
    listeners = group.on_each_worker(Host.join, "/room")
    with contextlib.ExitStack() as stack:
        publishers = [stack.enter_context(SequencePublisher(
            host, "/publish", rest=0.01, first=1 + 1_000_000 * index))
            for index, host in enumerate(group)]
        for each in publishers:
            each.wait_for(50)
        announcements = stack.enter_context(real.announcements())
        real.master.kill()
        began = announcements.wait()
        before = [set(each.ids) for each in publishers]
        for each in publishers:
            each.wait_for(1)
        assert time.monotonic() - began < seconds(2)
        for each in publishers:
            each.wait_for(50)
    last = wait_until_published(group[0], "/publish", "last")
    newcomer = group.add()
    newcomer.server.allow_errors("websocket: .*[Rr]edis")
    kept = Received(wait_until_joined(newcomer, "/room?since=0"), last)
    kept.check()
    for each, known in zip(publishers, before):
        assert each.refused and not each.unknown
        later = {str(number) for number in set(each.ids) - known}
        assert len(later) >= 50 and later <= set(kept.data)
    for client in listeners:
        received = Received(client, last)
        received.check()
        assert set(kept.data) <= set(received.data)
        assert len(received.gaps) <= 1


@pytest.mark.alone
def test_old_master_that_returns_is_not_used(hosts, start_sentinels):
    """It returns empty, and is a master until the sentinels change that."""
    real = start_sentinels(down_after=500)
    group = start(hosts, real.master, real.url())
    check_that_hosts_work(group)
    with real.announcements() as announcements:
        real.master.kill()
        announcements.wait()
    check_that_hosts_work(group)
    real.master.start()
    real.replica.client_kill()
    wait_until(lambda: uses(group, real.replica), seconds(10),
               "the new master again")
    assert leaves(group, real.master)
    check_that_hosts_work(group)
