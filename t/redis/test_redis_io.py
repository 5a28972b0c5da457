"""The connections to Redis: replies that are wrong, in pieces or large, and the
ends of connections."""

import contextlib
import ctypes
import itertools
import os
import socket
import time

import pytest

from hosts import Host, channel_of
from nginx_server import seconds, wait_until
from publish_client import post
from redis_faults import (Received, start_for_faults, wait_until_joined,
                          wait_until_published)
from room_client import publish, read_data
from socket_table import connections_of
from strace import RECEIVING, WAITING, traced

LOCATIONS = """
location /room { websocket room room$arg_k history=100; }
location /publish { websocket_publish room room$arg_k; }
location /echo { websocket echo echo; }
"""

UNEXPECTED = "unexpected reply (?:without a command|to a subscription)"


@pytest.fixture
def pair(hosts, start_redis):
    """Two hosts with one worker and a proxy each. A timeout before the test
    would be logged, and the next line comes ten seconds later."""
    return start_for_faults(hosts, start_redis, LOCATIONS,
                            "connect_timeout=10s command_timeout=10s",
                            workers=1)


def check_that_all_is_well(pair, clients, text):
    """A message of each host reaches all clients."""
    for index, host in enumerate(pair):
        last = wait_until_published(host, "/publish", f"{text} {index}")
        for client in clients:
            Received(client, last).check()


@pytest.mark.parametrize("reply, reason", [
    (b"x\r\n", "Protocol error"), (b"+OK\r\n", UNEXPECTED),
    (b":1\r\n", UNEXPECTED), (b"$-1\r\n", UNEXPECTED),
    (b"*-1\r\n", UNEXPECTED), (b"*0\r\n", UNEXPECTED),
    (b"*1\r\n:1\r\n", UNEXPECTED), (b"*2\r\n*0\r\n$-1\r\n", UNEXPECTED),
    (b"*3\r\n:1\r\n:2\r\n:3\r\n", UNEXPECTED),
    (b"*3\r\n$-1\r\n$-1\r\n$-1\r\n", UNEXPECTED),
    (b"-ERR some reason\r\n", "ERR some reason")])
def test_wrong_reply_ends_the_connection_alone(pair, reply, reason):
    clients = pair.on_each_worker(Host.join, "/room")
    pids = pair[0].pids()
    pair[0].proxy.inject(reply)
    pair[0].server.wait_for_log(
        rf"lost connection to Redis at [\d.:]+: {reason}")
    check_that_all_is_well(pair, clients, "after")
    assert pair[0].pids() == pids


@pytest.mark.parametrize("reply", [
    b"*3\r\n$7\r\nmessage\r\n:1\r\n*-1\r\n",
    b"*3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n",
    b"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"])
def test_unknown_message_of_a_channel_is_survived(pair, reply):
    clients = pair.on_each_worker(Host.join, "/room")
    pids = pair[0].pids()
    pair[0].proxy.inject(reply)
    check_that_all_is_well(pair, clients, "after")
    assert pair[0].pids() == pids


def test_replies_in_pieces_of_one_byte(hosts, start_redis):
    pair = start_for_faults(hosts, start_redis, LOCATIONS,
                            "connect_timeout=10s command_timeout=10s",
                            workers=1)
    for host in pair:
        host.proxy.set_piece(1)
        host.proxy.reset()
    clients = [wait_until_joined(host, "/room") for host in pair]
    check_that_all_is_well(pair, clients, "in pieces")
    texts = [publish(clients[0], f"{number}")["data"] for number in range(20)]
    assert read_data(clients[1], 20) == texts
    late = wait_until_joined(pair[1], "/room?since=0")
    assert read_data(late, 22)[-20:] == texts


def test_connection_that_the_server_half_closes_is_opened_again(pair):
    clients = pair.on_each_worker(Host.join, "/room")
    pair[0].proxy.half_close()
    pair[0].server.wait_for_log("Redis closed the connection")
    check_that_all_is_well(pair, clients, "after")


def test_large_reply_is_read_in_parts(hosts, start_redis):
    """In each turn of the event loop 1 MB of each connection at most, read
    twice, so that the worker's clients wait for no more."""
    redis = start_redis()
    group = hosts(LOCATIONS, count=1, redis=redis, workers=1,
                  options="command_timeout=30s")
    client = group[0].join("/room")
    echo = group[0].connect("/echo")
    [pid] = group[0].pids()
    with traced(pid, group[0].server.prefix) as trace:
        redis.command("PUBLISH", channel_of("room:room"), b"x" * (16 << 20))
        echo.text("still here")
        echo.expect_text("still here")
        group[0].post("/publish", "after")
        Received(client, "after", 30).check()
    per_turn = [sum(call.result for call in calls if call.result > 0)
                for waits, calls in itertools.groupby(
                    trace.of(RECEIVING | WAITING),
                    key=lambda call: call.name in WAITING) if not waits]
    assert sum(per_turn) > 16 << 20
    assert max(per_turn) <= 4 << 20


def test_command_timeout_counts_from_the_command(hosts, start_redis):
    """A command is in flight when the timeout has passed since the reply to
    the previous one."""
    redis = start_redis()
    [host] = hosts(LOCATIONS, count=1, redis=redis, workers=1,
                   options="command_timeout=1s")
    publisher = host.publisher("/publish")
    publisher.post("first")
    replied = time.monotonic()

    def wait_for(passed):
        wait_until(lambda: time.monotonic() > replied + passed, 5,
                   f"{passed} s after the reply")

    wait_for(0.7)
    with redis.frozen():
        publisher.client.send(post("second", "/publish"))
        wait_for(1.2)
    assert publisher.client.read_response().status == 200


def sockets_to(pid, port):
    """Copies of the sockets that a process has connected to a port."""
    pidfd_getfd = 438
    process = os.pidfd_open(pid)
    for name in os.listdir(f"/proc/{pid}/fd"):
        copy = ctypes.CDLL(None).syscall(pidfd_getfd, process, int(name), 0)
        with contextlib.suppress(OSError):
            with socket.socket(fileno=copy) as one:
                if one.getpeername()[1:2] == (port,):
                    yield one
    os.close(process)


def test_connections_have_keepalive_and_no_delay(pair):
    pair[0].join("/room")
    count = 0
    for one in sockets_to(pair[0].pids()[0], pair[0].proxy.port):
        count += 1
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert count == 2


def test_idle_connection_is_not_closed(hosts, start_redis):
    """Redis closes a connection that is silent for three seconds. One of the
    workers has nothing to send, and the other one leads."""
    group = hosts(LOCATIONS, 1, redis=start_redis(timeout=3), workers=2,
                  options="command_timeout=1s")
    before = wait_until(lambda: len(of_workers(group)) == 3
                        and of_workers(group), seconds(5), "connections")
    time.sleep(2 * 3 + 1)
    assert of_workers(group) == before


def of_workers(group):
    """The ports from which the workers have connected to Redis."""
    return {port for pid in group[0].pids()
            for port in connections_of(pid, group.redis.service_port)}
