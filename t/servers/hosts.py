"""Several nginx on loopback as the hosts of one service, joined by Redis."""

import json

from nginx_server import seconds, wait_until
from publish_client import Publisher
from redis_server import connections_of
from room_client import join, read
from tcp_proxy import TcpProxy
from worker_picking import REUSEPORT, connect_to

PREFIX = "ws:"

# So that no test of what goes well depends on the speed of the machine; and
# what outages are tested with.
OPTIONS = "connect_timeout=3s command_timeout=3s"
SHORT_TIMEOUTS = "connect_timeout=500ms command_timeout=500ms queue=64k"

# What a host says of a Redis that does not do as it should.
REDIS_ERROR = r"\[error\] .*websocket: .*[Rr]edis"


class Host:
    """One nginx, and the relay by which it reaches Redis, if it has one."""

    def __init__(self, server, proxy, redis):
        self.server = server
        self.proxy = proxy
        self.redis = redis

    def pids(self):
        return sorted(self.server.worker_pids())

    def connect(self, path, worker=None, **options):
        """A raw client; worker: on which of them, by its place among the
        pids."""
        if worker is None:
            return self.server.connect(path, **options)
        return connect_to(self.server, self.pids()[worker], path, **options)

    def join(self, path, worker=None, **options):
        """A JSON client that was welcomed."""
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
        """Waits until it knows of so many clients on all hosts. Where Redis
        is out of reach it does not know."""
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
        """The pid of the worker that has subscribed; None: none has."""
        ports = {int(each["addr"].rpartition(":")[2])
                 for each in self.redis.subscribers()}
        found = [pid for pid in self.pids()
                 if ports & connections_of(pid, self.redis.port)]
        assert len(found) < 2, f"{found} have subscribed"
        return found[0] if found else None

    def wait_for_leader(self):
        """The pid of the one worker that has subscribed."""
        return wait_until(self.leader, seconds(5), "a worker that leads")

    def close(self):
        """Ends nginx first: it has no fault to find with its relay."""
        try:
            self.server.stop()
        finally:
            if self.proxy is not None:
                self.proxy.close()


class Hosts:
    """So many of them. A list of hosts, and all of them at once.

    nginx: what starts servers; relays: each host has its own to Redis;
    options: the parameters of websocket_redis; url: what its first one is,
    if not that of `redis`; more: those of NginxConfig.
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
        """One more host."""
        proxy = TcpProxy(self.redis.port) if self.proxies else None
        url = self.url or self.redis.url(
            "unix" if self.redis.path and not proxy else "redis",
            proxy and proxy.port)
        server = self.nginx(http=f"websocket_redis {url} {self.options};\n"
                                 f"{self.http}", **self.config)
        self.hosts.append(Host(server, proxy, self.redis))
        return self.hosts[-1]

    def __getitem__(self, index):
        return self.hosts[index]

    def __iter__(self):
        return iter(self.hosts)

    def __len__(self):
        return len(self.hosts)

    def allow_redis_errors(self):
        """Redis will not do as it should: hosts may say so."""
        for host in self.hosts:
            host.server.allow_errors(REDIS_ERROR)

    def on_each_worker(self, connect, path, **options):
        """Clients of all workers of all hosts: `connect` is Host.connect or
        Host.join."""
        return [connect(host, path, worker, **options) for host in self.hosts
                for worker in range(len(host.pids()))]

    def wait_for_clients(self, path, count, timeout=5):
        """Waits until each host knows of so many on all of them."""
        for host in self.hosts:
            host.wait_for_clients(path, count, timeout)

    def close(self):
        for host in self.hosts:
            host.close()


def read_message(client, timeout=None):
    """The next message, whatever else comes before it."""
    while True:
        found = read(client, timeout)
        if found["type"] == "message":
            return found


def ids_of(client, count):
    """(epoch, sequence) of the next so many messages."""
    return [tuple(map(int, read_message(client)["id"].split("-")))
            for _ in range(count)]


def consecutive(ids):
    """Whether these are of one epoch and grow by one."""
    return ids == [(ids[0][0], ids[0][1] + index)
                   for index in range(len(ids))]


def stream_of(name):
    """The key of a resource's stream: `handler:key`."""
    return f"{PREFIX}s:{name}"


def channel_of(name):
    """A resource's channel."""
    return f"{PREFIX}n:{name}"
