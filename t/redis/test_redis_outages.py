"""Outages of Redis: clients stay connected, publishers get errors, and hosts
recover afterwards."""

import re
import time

import pytest

from hosts import SHORT_TIMEOUTS, Host
from nginx_server import seconds
from publish_client import post
from redis_faults import (FAULTS, RECOVERY_SECONDS, Received, injected_fault,
                          read_raw_until, start_for_faults, try_to_connect,
                          try_to_post, wait_until_connected, wait_until_joined,
                          wait_until_published)
from room_client import publish, read, read_data, send_text
from worker_probe import cpu_seconds

LOCATIONS = """
location /room { websocket room room$arg_k history=1000; }
location /publish { websocket_publish room room$arg_k; }
location /echo { websocket echo "echo$arg_k"; }
"""

# connect_timeout and command_timeout are half a second each.
PROMPTLY = 2.5


@pytest.fixture
def pair(hosts, start_redis):
    """Two hosts with two workers and a proxy each."""
    return start_for_faults(hosts, start_redis, LOCATIONS)


def errors(host):
    """Log lines of level warn and error."""
    return re.findall(r"(?m)^.*\[(?:warn|error)\].*$", host.server.log())


@pytest.mark.parametrize("name", FAULTS)
def test_outage_keeps_clients_and_fails_publishing_until_recovery(pair, name):
    listeners = pair.on_each_worker(Host.join, "/room")
    raw = pair.on_each_worker(Host.connect, "/room")
    speakers = [host.join("/room") for host in pair]
    echo = pair[0].connect("/echo")
    send_text(speakers[0], "before")
    for client in listeners + speakers:
        assert read_data(client) == ["before"]
    for client in raw:
        client.expect_text("before")

    with injected_fault(pair, name) as fault:
        began = time.monotonic()
        for index, speaker in enumerate(speakers):
            send_text(speaker, f"lost {index}", ref=[7])
        posts = [host.publisher("/publish").client for host in pair]
        for index, client in enumerate(posts):
            client.send(post(f"lost too {index}", "/publish"))
        for speaker in speakers:
            reply = read(speaker, seconds(PROMPTLY))
            assert reply["type"] == "error" and reply["ref"] == [7], reply
            assert reply["message"]
        for client in posts:
            assert client.read_response(seconds(PROMPTLY)).status == 503
        assert time.monotonic() - began < seconds(PROMPTLY)
        began = time.monotonic()
        for host in pair:
            status, client = try_to_connect(host, "/room")
            assert status == 503 or not fault.refuses
            client.disconnect()
        assert time.monotonic() - began < seconds(PROMPTLY)
        for client in listeners + raw + speakers:
            client.expect_alive()
        echo.text("still here")
        echo.expect_text("still here")

    accepted = [wait_until_published(host, "/publish", f"after {index}")
                for index, host in enumerate([*pair, pair[0]])]
    reply = [Received(client, accepted[-1]) for client in listeners]
    if fault.keeps:
        for received in reply:
            check_all(received, accepted)
        for client in raw:
            assert read_raw_until(client, accepted[-1]) == reply[0].data
    for host in pair:
        wait_until_connected(host, "/room").disconnect()
        wait_until_joined(host, "/room").disconnect()
    for number, client in enumerate(listeners):
        send_text(client, f"from {number}")
        for other in listeners:
            Received(other, f"from {number}")
    for host in pair:
        assert len(errors(host)) <= 8, errors(host)


def check_all(received, accepted):
    """All accepted messages were received in order, and besides them only
    refused ones."""
    received.check()
    assert not received.gaps and not received.others
    assert [one for one in received.data if one in accepted] == accepted
    assert all(one in accepted or one.startswith(("lost ", "after "))
               for one in received.data)


@pytest.mark.parametrize(
    "name", ["killed", "frozen", "cut", "blackhole", "locked"])
def test_workers_have_nothing_to_do_in_an_outage(pair, name):
    clients = pair.on_each_worker(Host.join, "/room")
    with injected_fault(pair, name):
        for client in clients:
            send_text(client, "x", ref=1)
            assert read(client, seconds(PROMPTLY))["type"] == "error"
        pids = pair[0].pids() + pair[1].pids()
        before = [cpu_seconds(pid) for pid in pids]
        time.sleep(1)
        spent = [cpu_seconds(pid) - one for pid, one in zip(pids, before)]
        assert max(spent) < seconds(0.1), spent


def test_reconnect_delay_grows(pair):
    """The proxy accepts connections for a server that does not run."""
    for host in pair:
        host.join("/room")
    pair.redis.kill()
    before = pair[0].proxy.accepted
    time.sleep(3)
    tried = pair[0].proxy.accepted - before
    assert 2 <= tried <= 60, tried
    pair.redis.start()
    wait_until_joined(pair[0], "/room")


def test_log_of_an_outage_is_short(pair):
    clients = [pair[0].join("/room", number % 2) for number in range(20)]
    with injected_fault(pair, "cut"):
        for _ in range(3):
            for client in clients:
                send_text(client, "x", ref=1)
            for client in clients:
                assert read(client, seconds(PROMPTLY))["type"] == "error"
    last = wait_until_published(pair[0], "/publish", "last")
    for client in clients:
        Received(client, last)
    lines = errors(pair[0])
    assert 1 <= len(lines) <= 6, lines
    assert all("edis" in line for line in lines), lines


# Faults at start

def test_hosts_start_without_redis(hosts, start_redis):
    redis = start_redis()
    redis.kill()
    group = hosts(LOCATIONS, redis=redis, options=SHORT_TIMEOUTS)
    group.allow_redis_errors()
    for host in group:
        status, client = try_to_connect(host, "/room")
        assert status == 503
        client.disconnect()
        assert try_to_post(host, "/publish", "x") == 503
    redis.start()
    clients = [wait_until_joined(host, "/room") for host in group]
    message = publish(clients[0], "x")
    assert read(clients[1]) == message


def test_wrong_password_is_logged(hosts, start_redis):
    redis = start_redis(requirepass="right")
    group = hosts(LOCATIONS, redis=redis, options=SHORT_TIMEOUTS,
                  url=redis.url().replace("right", "wrong"))
    group.allow_redis_errors()
    for host in group:
        assert try_to_connect(host, "/room")[0] == 503
        line = host.server.wait_for_log("WRONGPASS|password|authenticat")
        assert "edis" in line
        assert "wrong@" not in host.server.log()
    redis.config_set("requirepass", "wrong")
    for host in group:
        wait_until_connected(host, "/room")


@pytest.mark.parametrize("name", ["killed", "frozen", "blackhole"])
def test_reload_and_quit_in_an_outage(pair, name):
    """New workers start during the outage and serve when it ends."""
    clients = pair.on_each_worker(Host.join, "/room")
    with injected_fault(pair, name):
        old = pair[0].server.reload()
        for client in clients[:2]:
            client.expect_failure(1001)
            client.disconnect()
        pair[0].server.wait_for_workers_gone(old)
        assert try_to_connect(pair[0], "/room")[0] == 503
    new = wait_until_joined(pair[0], "/room")
    publish(new, "x")
    for client in clients[2:]:
        assert read_data(client, 1, seconds(RECOVERY_SECONDS)) == ["x"]
    with injected_fault(pair, name):
        for host in pair:
            host.server.stop()


# A slow Redis, and scripts that it has lost

def test_slow_redis_serves_all(hosts, start_redis):
    """The round trip takes 200 ms. Commands do not wait for each other."""
    group = start_for_faults(hosts, start_redis, LOCATIONS,
                             "connect_timeout=3s command_timeout=3s")
    for host in group:
        host.proxy.set_delay(0.1)
    near, far = (wait_until_joined(host, "/room") for host in group)
    began = time.monotonic()
    for number in range(50):
        send_text(near, f"{number}", ref=number)
    received = Received(far, "49")
    assert time.monotonic() - began < seconds(2)
    assert received.data == [f"{number}" for number in range(50)]
    answers = [read(near) for _ in range(100)]
    assert [one["ref"] for one in answers if one["type"] == "published"] == \
        list(range(50))
    assert not errors(group[0]) and not errors(group[1])


def test_forgotten_scripts_are_loaded_again(pair):
    clients = pair.on_each_worker(Host.join, "/room")
    for number in range(3):
        pair.redis.command("SCRIPT", "FLUSH")
        for index, client in enumerate(clients):
            send_text(client, f"{number} {index}", ref=1)
            for other in clients:
                received = Received(other, f"{number} {index}")
                assert not received.gaps and len(received.messages) == 1
                assert "error" not in [one["type"] for one in received.others]
    for host in pair:
        assert len(errors(host)) <= 4, errors(host)


def test_forgotten_scripts_without_publishers_are_loaded_again(pair):
    listeners = pair.on_each_worker(Host.join, "/room")
    pair.redis.command("SCRIPT", "FLUSH")
    newcomers = [wait_until_joined(host, "/room?since=0") for host in pair]
    send_text(newcomers[0], "all is well")
    for client in listeners + newcomers:
        assert not Received(client, "all is well").gaps


def test_flapping_redis_loses_no_acknowledged_message(pair):
    """Several outages, each too short for a timeout."""
    listeners = pair.on_each_worker(Host.join, "/room")
    for number in range(5):
        with injected_fault(pair, ["frozen", "cut", "killed"][number % 3]):
            pass
        wait_until_published(pair[number % 2], "/publish", f"{number}")
    last = wait_until_published(pair[0], "/publish", "last")
    for client in listeners:
        received = Received(client, last)
        received.check()
        assert not received.gaps
