"""Faults of a Redis, and the messages that clients get during and after
them."""

import contextlib
import dataclasses
import itertools

import pytest

import wire
from hosts import SHORT_TIMEOUTS
from nginx_server import seconds, wait_until
from publish_client import Publisher, answer_of
from redis_client import RedisError, encode
from redis_cluster import redis_version
from room_client import JSON, read
from status_reader import report_of

RECOVERY_SECONDS = 10  # time in which hosts must recover


@dataclasses.dataclass
class Fault:
    """`begin` and `end` are called with the hosts. refuses: handshakes are
    refused during the fault. keeps: published messages survive it."""

    begin: object
    end: object
    refuses: bool = True
    keeps: bool = True


def on_proxies(call, *arguments):
    """Returns a function that makes a call to the proxy of each host."""
    def order(group):
        for host in group:
            getattr(host.proxy, call)(*arguments)
    return order


def on_redis(call, *arguments, **options):
    return lambda group: getattr(group.redis, call)(*arguments, **options)


def change_password(group):
    """Changes the password and closes all connections."""
    group.redis.config_set("requirepass", "changed")
    group.redis.client_kill()


def run_endless_script(group):
    """Keeps Redis busy with a script that does not end."""
    group.redis.config_set("lua-time-limit", "1")
    group.busy = group.redis.client()
    group.busy.socket.sendall(encode(["EVAL", "while true do end", 0]))

    def refuses():
        try:
            group.redis.command("GET", "x")
            return False
        except RedisError as error:
            return str(error).startswith("BUSY")
    wait_until(refuses, seconds(5), "a busy Redis")


def kill_script(group):
    group.redis.command("SCRIPT", "KILL")
    group.busy.close()


def reset_and_restore(group):
    """Resets the old connections, and forwards new ones."""
    on_proxies("reset")(group)
    on_proxies("restore")(group)


FAULTS = {
    "killed": Fault(on_redis("kill"), on_redis("start")),
    "emptied": Fault(on_redis("kill"), on_redis("start", empty=True),
                     keeps=False),
    "frozen": Fault(on_redis("freeze"), on_redis("thaw")),
    "cut": Fault(on_proxies("cut"), on_proxies("restore")),
    "silent": Fault(on_proxies("pause"), reset_and_restore),
    "late": Fault(on_proxies("pause"), on_proxies("restore")),
    "blackhole": Fault(on_proxies("blackhole"), on_proxies("restore")),
    "full": Fault(on_redis("config_set", "maxmemory", "1"),
                  on_redis("config_set", "maxmemory", "0"), refuses=False),
    "unreplicated": Fault(
        on_redis("config_set", "min-replicas-to-write", "1"),
        on_redis("config_set", "min-replicas-to-write", "0"), refuses=False),
    "busy": Fault(run_endless_script, kill_script),
    "locked": Fault(change_password,
                    on_redis("config_set", "requirepass", "")),
    "read-only": Fault(
        on_redis("command", "REPLICAOF", "127.0.0.1", "1"),
        on_redis("command", "REPLICAOF", "NO", "ONE"), refuses=False),
}


@contextlib.contextmanager
def injected_fault(group, name):
    """Begins the fault; ends it after the block."""
    if name == "unreplicated" and redis_version() < 7:
        pytest.skip("scripts of Redis 6 write without replicas")
    fault = FAULTS[name]
    fault.begin(group)
    try:
        yield fault
    finally:
        fault.end(group)


def wait_for_loss(host, timeout=RECOVERY_SECONDS):
    """Waits until no worker of the host has a connection to Redis. The log has
    a line of it only if there was no similar one before."""
    def lost():
        report = report_of(host.server)
        return report["redis"]["disconnected"] == len(report["workers"])
    wait_until(lost, seconds(timeout), "the loss of Redis")


def start_for_faults(hosts, start_redis, locations, options=SHORT_TIMEOUTS,
                     **more):
    """Starts hosts for faults: Redis keeps its data, and each host has a proxy
    to it."""
    group = hosts(locations, redis=start_redis(keep=True), proxies=True,
                  options=options, **more)
    group.allow_redis_errors()
    return group


def response_to_post(host, path, body):
    """The response that a POST on a new connection gets."""
    publisher = Publisher(host.server, path)
    try:
        return publisher.ask("POST", body=body)
    finally:
        publisher.client.disconnect()


def try_to_post(host, path, body):
    """Sends a POST; returns its status."""
    return response_to_post(host, path, body).status


def publish_until_accepted(host, path, name, timeout=RECOVERY_SECONDS):
    """Posts until a message is accepted; returns its text and its id.

    Each attempt has its own text. Redis may store a message and reply too late,
    so that a refused message is published too.
    """
    numbers = itertools.count(1)

    def tried():
        text = f"{name}, attempt {next(numbers)}"
        response = response_to_post(host, path, text)
        assert response.status in (200, 503), repr(response)
        return response.status == 200 and (text, answer_of(response)["id"])
    return wait_until(tried, seconds(timeout), "a message that is accepted")


def wait_until_published(host, path, name, timeout=RECOVERY_SECONDS):
    """Posts until a message is accepted; returns its text."""
    return publish_until_accepted(host, path, name, timeout)[0]


def try_to_connect(host, path, protocol=None):
    """Sends a handshake; returns its status and the client."""
    client = host.server.open()
    client.send(wire.upgrade_request(path, protocol=protocol))
    return client.read_response(seconds(10)).status, client


def wait_until_connected(host, path, protocol=None, timeout=RECOVERY_SECONDS):
    """Connects until a handshake succeeds; returns the client."""
    def tried():
        status, client = try_to_connect(host, path, protocol)
        if status == 101:
            return client
        assert status == 503, status
        client.disconnect()
        return None
    return wait_until(tried, seconds(timeout), f"a client of {path}")


def wait_until_joined(host, path, timeout=RECOVERY_SECONDS):
    """Connects a JSON client until a handshake succeeds; returns it."""
    client = wait_until_connected(host, path, JSON, timeout)
    client.welcome = read(client)
    return client


class Received:
    """The messages that a JSON client gets up to the one with this text."""

    def __init__(self, client, last, timeout=RECOVERY_SECONDS):
        self.messages = []
        self.gaps = []  # the number of messages before each gap
        self.others = []
        while not self.messages or self.messages[-1]["data"] != last:
            try:
                found = read(client, seconds(timeout))
            except AssertionError as fault:
                raise AssertionError(
                    f"{fault}; until then {self.data}, gaps at {self.gaps}, "
                    f"{self.others}") from fault
            if found["type"] == "message":
                self.messages.append(found)
            elif found["type"] == "gap":
                self.gaps.append(len(self.messages))
            else:
                self.others.append(found)

    @property
    def data(self):
        return [message["data"] for message in self.messages]

    @property
    def ids(self):
        return [tuple(map(int, message["id"].split("-")))
                for message in self.messages]

    def check(self):
        """No message is duplicated or out of order, and each loss is reported
        as a gap."""
        ids, data = self.ids, self.data
        assert len(set(ids)) == len(ids), ids
        assert len(set(data)) == len(data), data
        for index, (before, now) in enumerate(zip(ids, ids[1:]), 1):
            assert index in self.gaps or now == (before[0], before[1] + 1), (
                f"{now} after {before} without a gap")
            assert now > before, (before, now)


def read_raw_until(client, last, timeout=RECOVERY_SECONDS):
    """The texts that a raw client gets up to `last`, or up to a Close 1013,
    which appears as None."""
    received = []
    while not received or received[-1] not in (last, None):
        frame = client.read_frame(seconds(timeout))
        if frame.opcode == wire.CLOSE:
            assert frame.close_code == 1013, frame
            received.append(None)
        else:
            assert frame.opcode == wire.TEXT, frame
            received.append(frame.payload.decode())
    assert len(set(received)) == len(received), received
    return received
