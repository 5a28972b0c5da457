"""The soak of several hosts with a Redis. Redis is killed, emptied and frozen.
Connections to it are cut, paused and slowed down."""

import json

from hosts import REDIS_ERROR
from nginx_server import seconds, wait_until
from redis_server import RedisServer
from soak_checker import Fault
from soak_clients import LOST, Echo
from soak_requests import send_request, get_state
from soak_run import EXPECTED, WORKERS, Soak
from soak_scheduler import NORMAL_RATES, ROOMS, FAULT_RATES, Scheduler
from tcp_proxy import TcpProxy

OPTIONS = "connect_timeout=1s command_timeout=1s queue=256k"
LONGEST = 1.5  # seconds of a fault

# Subscriptions of the workers of a host themselves: two of each worker and one
# of the leader.
OWN_SUBSCRIPTIONS = 2 * WORKERS + 1


class HostsScheduler(Scheduler):
    """Clients connect to any host. There is one fault at a time."""

    def __init__(self, servers, seed, redis, proxies):
        super().__init__(servers, seed)
        self.redis = redis
        self.proxies = proxies
        self.checker.forgetful = True
        # Redis may lose messages, which no host counts as dropped.
        self.lossless = set()
        # An emptied Redis may have lost messages that an Echo client did not
        # get.
        Echo.codes = {*Echo.codes, LOST}
        self.end_fault = None

    def inject_fault(self):
        """Begins a fault that ends after a random time."""
        if self.end_fault is not None:
            return
        name = self.random.choice(["kill", "empty", "freeze", "cut", "reset",
                                   "pause", "mute", "slow_down"])
        self.counts["faults"] += 1
        self.counts[f"fault: {name}"] += 1
        self.end_fault = getattr(self, f"begin_{name}")()
        self.later(self.random.uniform(0.02, LONGEST), self.clear_fault)

    def clear_fault(self):
        """Ends the fault, if there is one."""
        end, self.end_fault = self.end_fault, None
        if end is not None:
            end()

    def disconnect_all(self):
        self.clear_fault()
        super().disconnect_all()

    def begin_kill(self):
        self.redis.kill()
        return self.redis.start

    def begin_empty(self):
        self.redis.kill()
        return lambda: self.redis.start(empty=True)

    def begin_freeze(self):
        self.redis.freeze()
        return self.redis.thaw

    def begin_cut(self):
        proxy = self.random.choice(self.proxies)
        proxy.cut()
        return proxy.restore

    def begin_reset(self):
        proxy = self.random.choice(self.proxies)
        proxy.reset()
        return lambda: None

    def begin_pause(self):
        proxy = self.random.choice(self.proxies)
        proxy.pause()
        return proxy.release

    def begin_mute(self):
        """Requests reach Redis, but replies are late or lost."""
        proxy = self.random.choice(self.proxies)
        proxy.pause("down")

        def end():
            if self.random.random() < 0.5:
                proxy.reset()
            proxy.release()
        return end

    def begin_slow_down(self):
        proxy = self.random.choice(self.proxies)
        proxy.set_delay(self.random.uniform(0.01, 0.3))
        return proxy.restore


class HostsSoak(Soak):
    """The phases of Soak, followed by a check of the data in Redis."""

    fault_rates = dict(FAULT_RATES, inject_fault=1)
    normal_rates = dict(NORMAL_RATES, inject_fault=0.5)
    expected = [*EXPECTED, "faults"]

    def __init__(self, hosts, seed, duration, folder):
        self.hosts = hosts
        self.redis = RedisServer(keep=True)
        self.proxies = []
        super().__init__(seed, duration, folder)

    def create_scheduler(self, seed):
        for _ in range(self.hosts):
            proxy = TcpProxy(self.redis.port)
            self.proxies.append(proxy)
            url = self.redis.url(port=proxy.port)
            self.start_server(f"websocket_redis {url} "
                              f"{OPTIONS};")
            self.servers[-1].allow_errors(REDIS_ERROR)
        return HostsScheduler(self.servers, seed, self.redis, self.proxies)

    # Growth

    def capacity(self):
        """Waits until no client's subscription is left; returns 1. The number
        of messages that fit is not measured with Redis."""
        wait_until(lambda: all(zone["subscriptions"] <= OWN_SUBSCRIPTIONS
                               for zone in self.zones()),
                   seconds(15), "the end of subscriptions")
        return 1

    def zones(self):
        return [get_state(server, "/status")["zone"]
                for server in self.servers]

    def disconnect_clients(self, files):
        super().disconnect_clients(files)
        self.check_no_counts()

    def check_no_counts(self):
        """Redis has no client counts, and no host subscribes to a room."""
        wait_until(lambda: not self.redis.keys("ws:*c:*"), seconds(15),
                   "the end of counts")
        wait_until(lambda: not self.redis.subscriptions("ws:*n:0"),
                   seconds(15), "the end of subscriptions")

    def compare(self, before, after):
        super().compare(before, after)
        for key in self.redis.keys("ws:*s:*"):
            if self.redis.command("TTL", key) < 0:
                raise Fault(f"{key} never expires")

    # Convergence

    def converge(self):
        self.scheduler.clear_fault()
        self.scheduler.wait_until(self.all_publish, 15, lambda: "all publish")
        super().converge()

    def all_publish(self):
        """Whether each host can publish, so is connected to Redis."""
        path = ROOMS[0].replace("/", "/publish-", 1)
        return all(self.published(server, path) for server in self.servers)

    def published(self, server, path):
        data = self.scheduler.unique_text(100)
        response = send_request(server, "POST", path, body=data)
        if response.status == 200:
            self.scheduler.checker.record(ROOMS[0],
                                          json.loads(response.body)["id"],
                                          data)
        return response.status == 200

    # The end

    def close(self):
        for proxy in self.proxies:
            proxy.close()
        self.redis.remove()
