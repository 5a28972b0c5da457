"""Messages to single clients and users while hosts, leaders or Redis fail."""

import os
import signal
import time

import pytest

import rooms_client
from direct_client import LOCATIONS, ask, direct, join_as, number
from hosts import OPTIONS, SHORT_TIMEOUTS
from nginx_server import seconds, wait_until
from publish_client import request
from redis_faults import injected_fault, start_for_faults
from room_client import read, send_text
from worker_picking import open_to

PROMPTLY = 3  # command_timeout is half a second, and leases are looked up

LEASE = 15  # a host is gone after its lease, and a round of another host


@pytest.fixture
def pair(hosts, start_redis):
    group = start_for_faults(hosts, start_redis, LOCATIONS, workers=1)
    for host in group:
        host.wait_for_leader()
    return group


def entries(redis):
    """Of all inboxes."""
    return sum(redis.command("XLEN", key) for key in redis.keys("ws:{0}in:*"))


def timed(server, method, path, body=None):
    began = time.monotonic()
    found = ask(server, method, path, body, seconds(10))
    return found, time.monotonic() - began


def expect_unanswered(pair, near, other, target):
    """As long as the host has a lease, requests fail. They have reached the
    other hosts."""
    for path in (target, "user=ann", "presence=1"):
        method = "GET" if path == "presence=1" else "POST"
        found, took = timed(pair[0].server, method, f"/to?{path}",
                            None if method == "GET" else "x")
        assert found[0] == 504 and took < seconds(PROMPTLY), (path, took)
    assert direct(near) == "x"
    assert rooms_client.ask(other, presence="quiet")["message"] == (
        "other hosts are unreachable")


def expect_left_out(pair, other, target):
    """When the lease has ended the host does not count."""
    server = pair[0].server
    wait_until(lambda: ask(server, "POST", "/to?user=ann", "y", seconds(10))
               == (200, {"clients": 1}), seconds(LEASE), "the end of the lease")
    assert ask(server, "POST", f"/to?{target}", "y", seconds(10))[0] == 404
    wait_until(lambda: pair.redis.command("HLEN", "ws:{0}inboxes") == 1,
               seconds(LEASE), "the end of the host")
    found, took = timed(server, "POST", f"/to?{target}", "z")
    assert found[0] == 404 and took < seconds(0.4)
    found = rooms_client.ask(other, presence="quiet")
    assert found.get("users") == [{"user": "ann", "clients": 1}], found


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_host_that_does_not_answer(pair, how):
    near, far = (join_as(host, "ann") for host in pair)
    other = rooms_client.connect(pair[0].server, "/rooms?user=ann")
    rooms_client.subscribe(other, "quiet")
    target = f"client={number(far)}"
    if how == "killed":
        pair[1].kill()
        expect_unanswered(pair, near, other, target)
        expect_left_out(pair, other, target)
        return
    with pair[1].standing_still():
        expect_unanswered(pair, near, other, target)
        expect_left_out(pair, other, target)
    wait_until(lambda: ask(pair[0].server, "POST", f"/to?{target}", "again",
                           seconds(10)) == (200, {"clients": 1}), seconds(10),
               "the client again")
    assert direct(far, seconds(5)) == "again"


def test_reload_while_a_request_waits(pair):
    """The old worker waits for the answer, or for the end of the time."""
    near = join_as(pair[0], "ann")
    join_as(pair[1], "ann")
    link = pair[0].server.open()
    with pair[1].standing_still():
        link.send(request("POST", "/to?user=ann", "x"))
        assert direct(near) == "x"
        pair[0].server.reload()
        assert link.read_response(seconds(5)).status == 504


def test_host_that_nobody_removes(pair):
    """It has no lease, and is in no set of hosts: it is removed when it does not
    answer."""
    near = join_as(pair[0], "ann")
    pair.redis.command("HSET", "ws:{0}inboxes", "0123456789abcdef", 1)
    for text in ("x", "y"):
        assert ask(pair[0].server, "POST", "/to?user=ann", text,
                   seconds(10)) == (200, {"clients": 1})
        assert direct(near) == text
        assert pair.redis.command("HLEN", "ws:{0}inboxes") == 2


@pytest.mark.parametrize("name", ["killed", "frozen", "cut", "blackhole"])
def test_redis_away(pair, name):
    """Clients of the own host are reached without Redis."""
    near, far = (join_as(host, "ann") for host in pair)
    server = pair[0].server
    with injected_fault(pair, name):
        for path in (f"/to?client={number(far)}", "/to?user=ann"):
            for method, body in (("POST", "x"), ("DELETE", None),
                                 ("GET", None)):
                found, took = timed(server, method, path, body)
                assert found[0] == 503 and took < seconds(PROMPTLY)
        assert timed(server, "GET", "/to?presence=1")[0][0] == 503
        assert ask(server, "POST", f"/to?client={number(near)}", "y") == (
            200, {"clients": 1})
        assert direct(near) == "y"
    wait_until(lambda: ask(server, "POST", "/to?user=ann", "z", seconds(5))
               == (200, {"clients": 2}), seconds(10), "both hosts")
    for client in (near, far):
        while direct(client) != "z":
            pass


@pytest.mark.parametrize("restarted", [False, True],
                         ids=["at-once", "restarted"])
def test_emptied_redis(pair, restarted):
    """No answer leaves out hosts that Redis does not know again yet."""
    near, far = (join_as(host, "ann") for host in pair)
    both = {"clients": 2}
    expected = {("POST", f"client={number(far)}"): {"clients": 1},
                ("POST", "user=ann"): both,
                ("GET", "presence=1"): {
                    **both, "users": [{"user": "ann", **both}], "more": False}}
    statuses = []

    def answers():
        found = {}
        for method, path in expected:
            body = "x" if method == "POST" else None
            status, found[method, path] = ask(
                pair[0].server, method, f"/to?{path}", body, seconds(10))
            assert status in (200, 503, 504), (method, path, status)
            if status == 200:
                assert found[method, path] == expected[method, path]
            statuses.append(status)
        return found
    assert answers() == expected
    if restarted:
        with injected_fault(pair, "emptied"):
            pass
    else:
        pair.redis.command("FLUSHALL")
    wait_until(lambda: answers() == expected, seconds(20), "both hosts")
    assert 503 in statuses
    wait_until(lambda: ask(pair[0].server, "POST", "/to?user=bob", "x",
                           seconds(10))[0] == 404, seconds(10), "the end")
    assert pair.redis.keys("ws:{0}inboxes*") == ["ws:{0}inboxes"]


def test_host_that_is_cut_off(pair):
    """It gets what its inbox has when it is back: once."""
    near, far = (join_as(host, "ann") for host in pair)
    pair[1].proxy.cut()
    found, took = timed(pair[0].server, "POST", "/to?user=ann", "x")
    assert found[0] == 504 and took < seconds(PROMPTLY)
    assert direct(near) == "x"
    pair[1].proxy.restore()
    assert direct(far, seconds(10)) == "x"
    send_text(far, "after")
    assert read(far)["data"] == "after"


def test_leader_killed_before_it_answers(hosts):
    """The next leader handles the request, and the publisher gets its answer.
    The client is one of the other worker."""
    group = hosts(LOCATIONS, options=OPTIONS)
    group.allow_redis_errors()
    host = group[1]
    leader = host.wait_for_leader()
    [other] = [pid for pid in host.pids() if pid != leader]
    client = join_as(host, "ann", pid=other)
    host.server.allow_errors(r"exited on signal 9|open socket #\d+ left")
    os.kill(leader, signal.SIGSTOP)
    link = group[0].server.open()
    link.send(request("POST", "/to?user=ann", "x"))
    wait_until(lambda: entries(group.redis) == 1, seconds(5), "the request")
    os.kill(leader, signal.SIGKILL)
    response = link.read_response(seconds(10))
    assert (response.status, response.body) == (200, b'{"clients":1}')
    assert direct(client) == "x"
    send_text(client, "after")
    assert read(client)["type"] == "message"


def test_leader_of_the_publisher_killed(hosts):
    """The answer is in the inbox until the next leader reads it."""
    group = hosts(LOCATIONS, options=OPTIONS)
    group.allow_redis_errors()
    host = group[0]
    client = join_as(group[1], "ann")
    leader = host.wait_for_leader()
    [other] = [pid for pid in host.pids() if pid != leader]
    host.server.allow_errors(r"exited on signal 9|open socket #\d+ left")
    publisher = open_to(host.server, other)
    os.kill(leader, signal.SIGSTOP)
    publisher.send(request("POST", "/to?user=ann", "x"))
    assert direct(client) == "x"
    os.kill(leader, signal.SIGKILL)
    response = publisher.read_response(seconds(10))
    assert (response.status, response.body) == (200, b'{"clients":1}')


@pytest.mark.parametrize("killed", [False, True],
                         ids=["same-leader", "next-leader"])
def test_request_that_is_handled_twice_arrives_once(hosts, killed):
    """The leader has handled the request, and its next command is lost. So the
    request is handled again, and answered."""
    group = hosts(LOCATIONS, options=OPTIONS, proxies=True)
    group.allow_redis_errors()
    host = group[1]
    leader = host.wait_for_leader()
    [other] = [pid for pid in host.pids() if pid != leader]
    client = join_as(host, "ann", pid=other)
    host.server.allow_errors(r"exited on signal 9|open socket #\d+ left")
    link = group[0].server.open()
    host.proxy.set_delay(1)
    link.send(request("POST", "/to?user=ann", "x"))
    assert direct(client, seconds(10)) == "x"
    if killed:
        os.kill(leader, signal.SIGKILL)
    host.proxy.reset()
    assert entries(group.redis) == 1
    host.proxy.restore()
    response = link.read_response(seconds(10))
    assert (response.status, response.body) == (200, b'{"clients":1}')
    client.text('{"ping":1}')
    assert read(client)["type"] == "pong"


def test_stalled_leader_repeats_nothing(hosts):
    """Another worker leads, handles what the inbox has, and the first one
    continues with what it had read: each client gets each message once."""
    group = hosts(LOCATIONS, options=OPTIONS, level="notice")
    group.allow_redis_errors()
    host = group[1]
    leader = host.wait_for_leader()
    clients = [join_as(host, "ann", pid=pid) for pid in host.pids()]
    os.kill(leader, signal.SIGSTOP)
    try:
        links = [group[0].server.open() for _ in range(5)]
        for index, link in enumerate(links):
            link.send(request("POST", "/to?user=ann", str(index)))
        for link in links:
            assert link.read_response(seconds(10)).status == 200
        host.server.wait_for_log("this worker takes its place")
    finally:
        os.kill(leader, signal.SIGCONT)
    for client in clients:
        assert sorted(direct(client, seconds(5)) for _ in links) == [
            str(index) for index in range(len(links))]
        client.text('{"ping":1}')
        assert read(client)["type"] == "pong"
