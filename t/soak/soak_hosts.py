"""The soak of several hosts with a Redis. Redis is killed, emptied and frozen,
and its replica takes over. Connections to it are cut, paused and slowed down.
"""

import json
import time

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


class RedisPair:
    """A Redis, and its replica, which can take over under the same addresses:
    those of the proxies."""

    def __init__(self):
        self.master = RedisServer(keep=True)
        self.standby = RedisServer(keep=True, repl_diskless_sync_delay=0)
        self.follow()

    def follow(self):
        self.standby.command("REPLICAOF", self.master.address,
                             self.master.port)

    def can_fail_over(self):
        state = self.standby.info("replication")
        return state.get("master_link_status") == "up"

    def fail_over(self, proxies):
        """Kills the master. Data that its replica does not have are lost."""
        self.master.kill()
        self.standby.command("REPLICAOF", "NO", "ONE")
        self.master, self.standby = self.standby, self.master
        for proxy in proxies:
            proxy.upstream = self.master.port
        for proxy in proxies:
            proxy.reset()

    def start_standby(self):
        self.standby.start(empty=True)
        self.follow()

    def remove(self):
        self.master.remove()
        self.standby.remove()


class HostsScheduler(Scheduler):
    """Clients connect to any host. There is one fault at a time."""

    def __init__(self, servers, seed, pair, proxies):
        super().__init__(servers, seed)
        self.pair = pair
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
                                   "pause", "mute", "slow_down", "fail_over"])
        if name == "fail_over" and not self.pair.can_fail_over():
            return
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
        self.pair.master.kill()
        return self.pair.master.start

    def begin_empty(self):
        self.pair.master.kill()
        return lambda: self.pair.master.start(empty=True)

    def begin_freeze(self):
        self.pair.master.freeze()
        return self.pair.master.thaw

    def begin_fail_over(self):
        self.pair.fail_over(self.proxies)
        self.checker.failed_over_at = time.time() * 1000
        return self.pair.start_standby

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
        self.pair = RedisPair()
        self.proxies = []
        super().__init__(seed, duration, folder)

    def create_scheduler(self, seed):
        for _ in range(self.hosts):
            proxy = TcpProxy(self.pair.master.port)
            self.proxies.append(proxy)
            url = self.pair.master.url(port=proxy.port)
            self.start_server(f"websocket_redis {url} "
                              f"{OPTIONS};")
            self.servers[-1].allow_errors(REDIS_ERROR)
        return HostsScheduler(self.servers, seed, self.pair, self.proxies)

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
        redis = self.pair.master
        wait_until(lambda: not redis.keys("ws:*c:*"), seconds(15),
                   "the end of counts")
        wait_until(lambda: not redis.subscriptions("ws:*n:0"), seconds(15),
                   "the end of subscriptions")

    def compare(self, before, after):
        super().compare(before, after)
        redis = self.pair.master
        for key in redis.keys("ws:*s:*"):
            if redis.command("TTL", key) < 0:
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
        self.pair.remove()
