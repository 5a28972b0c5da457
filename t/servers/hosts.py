"""Several nginx on loopback that share a Redis. A single host may run without
Redis."""

import contextlib
import json
import os
import signal

import pytest

from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import join, read
from socket_table import connections_of
from tcp_proxy import TcpProxy
from worker_picking import REUSEPORT, connect_to

PREFIX = "ws:"

# Long timeouts, so that tests without faults do not depend on the speed of the
# machine, and short ones for tests with faults.
OPTIONS = "connect_timeout=10s command_timeout=10s"
SHORT_TIMEOUTS = ("connect_timeout=1s command_timeout=1s queue=64k "
                  "wait=0")

# Tests with the fixture module_group that are for one host alone.
one_host = pytest.mark.parametrize("module_group", [1], indirect=True,
                                   ids=["one-host"])

# Log lines of a host about a failing Redis.
REDIS_ERROR = r"\[error\] .*websocket: .*[Rr]edis"


class Host:
    """One nginx, and its proxy to Redis if it has one."""

    def __init__(self, server, proxy, redis):
        self.server = server
        self.proxy = proxy
        self.redis = redis

    def pids(self):
        return sorted(self.server.worker_pids())

    def connect(self, path, worker=None, **options):
        """Connects a raw client; worker: the index of its worker among the
        pids."""
        if worker is None:
            return self.server.connect(path, **options)
        return connect_to(self.server, self.pids()[worker], path, **options)

    def join(self, path, worker=None, **options):
        """Connects a JSON client and reads its welcome."""
        pid = None if worker is None else self.pids()[worker]
        return join(self.server, path, pid, **options)

    def publisher(self, path):
        """A connection for requests to a location that publishes."""
        return Publisher(self.server, path)

    def post(self, path, body, **options):
        """Publishes once; returns the epoch and the sequence."""
        publisher = self.publisher(path)
        try:
            return publisher.post(body, **options)
        finally:
            publisher.client.disconnect()

    def get_state(self, path):
        """(clients, messages, last)"""
        publisher = self.publisher(path)
        try:
            return publisher.get_state()
        finally:
            publisher.client.disconnect()

    def wait_for_clients(self, path, count, timeout=5):
        """Waits until the host counts so many clients on all hosts. Without
        Redis it answers 503."""
        def counted():
            publisher = self.publisher(path)
            try:
                answer = publisher.ask("GET")
            finally:
                publisher.client.disconnect()
            assert answer.status in (200, 503), repr(answer)
            return answer.status == 200 and \
                json.loads(answer.body)["clients"] == count
        wait_until(counted, seconds(timeout), f"{count} clients at {path}")

    def leader(self):
        """The pid of the worker that leads: it has a connection for channels
        too. None: no worker, or two while the lead is handed over."""
        port = (self.proxy or self.redis).service_port
        found = [pid for pid in self.pids()
                 if len(connections_of(pid, port)) > 1]
        return found[0] if len(found) == 1 else None

    def wait_for_leader(self):
        """Waits until a worker leads; returns its pid."""
        return wait_until(self.leader, seconds(5), "a leader")

    @contextlib.contextmanager
    def standing_still(self):
        """Stops all processes meanwhile."""
        pids = [self.server.pid, *self.pids()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def kill(self):
        """Kills all processes, as if the host had died."""
        self.server.stopped = True
        for pid in [self.server.pid, *self.pids()]:
            os.kill(pid, signal.SIGKILL)
        self.server.process.wait(seconds(5))

    def close(self):
        """Stops nginx before its proxy, so that nginx logs no error."""
        try:
            self.server.stop()
        finally:
            if self.proxy is not None:
                self.proxy.close()


class Hosts:
    """A list of `count` hosts.

    nginx: starts servers. redis: None for one host without Redis. proxies: each
    host has its own proxy to Redis. options: the parameters of websocket_redis.
    url: its first parameter, by default that of `redis`. more: options of
    NginxConfig.
    """

    def __init__(self, nginx, redis, locations, count=2, *, proxies=False,
                 workers=2, http="", options=OPTIONS, prefix=PREFIX, url=None,
                 **more):
        self.nginx = nginx
        self.redis = redis
        self.proxies = proxies
        self.options = f"prefix={prefix} {options}"
        self.url = url
        self.config = {"locations": locations, "workers": workers,
                       **REUSEPORT, **more}
        self.http = http
        self.hosts = []
        for _ in range(count):
            self.add()

    def add(self):
        """Adds a host."""
        proxy = TcpProxy(self.redis.service_port) if self.proxies else None
        server = self.nginx(http=self.redis_line(proxy) + self.http,
                            **self.config)
        self.hosts.append(Host(server, proxy, self.redis))
        return self.hosts[-1]

    def redis_line(self, proxy):
        """The directive websocket_redis, empty without Redis."""
        if self.redis is None:
            return ""
        url = self.url or self.redis.url(
            "unix" if self.redis.path and not proxy else "redis",
            proxy and proxy.port)
        return f"websocket_redis {url} {self.options};\n"

    def __getitem__(self, index):
        return self.hosts[index]

    def __iter__(self):
        return iter(self.hosts)

    def __len__(self):
        return len(self.hosts)

    def allow_redis_errors(self):
        """Allows log lines about a failing Redis."""
        for host in self.hosts:
            host.server.allow_errors(REDIS_ERROR)

    def on_each_worker(self, connect, path, **options):
        """Connects a client to each worker of each host with Host.connect or
        Host.join."""
        return [connect(host, path, worker, **options) for host in self.hosts
                for worker in range(len(host.pids()))]

    def wait_for_clients(self, path, count, timeout=5):
        """Waits until each host counts so many clients on all hosts."""
        for host in self.hosts:
            host.wait_for_clients(path, count, timeout)

    def close(self):
        for host in self.hosts:
            host.close()


def read_message(client, timeout=None):
    """Reads up to the next message; returns it."""
    while True:
        found = read(client, timeout)
        if found["type"] == "message":
            return found


def ids_of(client, count):
    """(epoch, sequence) of the next `count` messages."""
    return [tuple(map(int, read_message(client)["id"].split("-")))
            for _ in range(count)]


def consecutive(ids):
    """Whether all ids have the same epoch and each sequence is one higher than
    the one before."""
    return ids == [(ids[0][0], ids[0][1] + index)
                   for index in range(len(ids))]


def hash_of(text, begin=2166136261):
    """The FNV-1a hash of a text behind that with the hash `begin`."""
    number = begin
    for byte in text.encode():
        number = (number ^ byte) * 16777619 % 2**32
    return number


def shard_of_hash(number):
    return (number >> 16 ^ number) % 16


def shard_of(name):
    """The shard of a resource `handler:key`."""
    return shard_of_hash(hash_of(name))


def key_of(kind, name):
    """The key of a resource, for example of kind "m"."""
    return f"{PREFIX}{{{shard_of(name)}}}{kind}:{name}"


def stream_of(name):
    """The key of a resource's history."""
    return key_of("h", name)


def log_of(name):
    """The key of the log of a resource's shard."""
    return f"{PREFIX}{{{shard_of(name)}}}entries"


def channel_of(name):
    """The channel of a resource's shard, in database 0."""
    return f"{PREFIX}{{{shard_of(name)}}}n:0"
