"""The soak of several hosts that share a Redis or a Redis Cluster, with faults
of both."""

import json

from hosts import REDIS_ERROR
from nginx_server import seconds, wait_until
from soak_checker import Fault
from soak_clients import LOST, Echo
from soak_cluster import SoakCluster
from soak_faults import FaultCycle, HostFaults
from soak_pair import RedisPair
from soak_requests import send_request, get_state
from soak_run import ACTIONS, EXPECTED, WORKERS, Soak
from soak_scheduler import NORMAL_RATES, ROOMS, FAULT_RATES, Scheduler

OPTIONS = "connect_timeout=1s command_timeout=1s queue=256k"

# The kinds of Redis, and what must happen with each.
KINDS = {"pair": (RedisPair, ["fault: fail_over"]),
         "cluster": (SoakCluster, ["fault: move_slot", "fault: kill_master"])}

# Subscriptions of the workers of a host themselves: two of each worker and one
# of the leader.
OWN_SUBSCRIPTIONS = 2 * WORKERS + 1

# Seconds until the clients of a dead host are not counted any more: its lease,
# a lease of the other host without an outage, and a renewal.
DEAD_HOST = 30


class HostsScheduler(Scheduler):
    """Clients connect to any host that runs."""

    def __init__(self, servers, seed, redis):
        super().__init__(servers, seed)
        self.redis = redis
        self.faults = FaultCycle(self, redis, "faults")
        self.host_faults = FaultCycle(self, HostFaults(self), "host faults")
        self.checker.forgetful = True
        self.checker.last_failover = redis.last_failover
        # Redis may lose messages, which no host counts as dropped.
        self.lossless = set()
        # An emptied Redis may have lost messages that an Echo client did not
        # get.
        Echo.codes = {*Echo.codes, LOST}

    def inject_fault(self):
        self.faults.inject()

    def inject_host_fault(self):
        self.host_faults.inject()

    def finish_faults(self):
        self.faults.finish()
        self.host_faults.finish()

    def disconnect_all(self):
        self.finish_faults()
        super().disconnect_all()


class HostsSoak(Soak):
    """The phases of Soak, followed by a check of the data in Redis."""

    fault_rates = dict(FAULT_RATES, inject_fault=1, inject_host_fault=0.3)
    normal_rates = dict(NORMAL_RATES, inject_fault=0.5)
    last_counts = DEAD_HOST

    def __init__(self, hosts, kind, seed, duration, folder):
        self.hosts = hosts
        start, more = KINDS[kind]
        self.expected = [*EXPECTED, "faults", "fault: kill_host", *more]
        self.actions = {*ACTIONS, "fault: kill_host", *more}
        self.redis = start(seed)
        super().__init__(seed, duration, folder)

    def create_scheduler(self, seed):
        for _ in range(self.hosts):
            self.start_server(f"websocket_redis {self.redis.url()} {OPTIONS};")
            self.servers[-1].allow_errors(REDIS_ERROR)
        return HostsScheduler(self.servers, seed, self.redis)

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
        wait_until(lambda: not self.redis.keys("ws:*c:*"), seconds(DEAD_HOST),
                   "the end of counts")
        wait_until(lambda: not self.redis.channels("ws:*n:0"), seconds(15),
                   "the end of subscriptions")

    def compare(self, before, after):
        super().compare(before, after)
        if keys := self.redis.permanent_keys("ws:*s:*"):
            raise Fault(f"{keys} never expire")

    # Convergence

    def converge(self):
        self.scheduler.finish_faults()
        self.scheduler.wait_until(self.all_publish, 15, lambda: "all publish")
        super().converge()

    def all_publish(self):
        """Whether each host can publish in each room, so is connected to
        Redis."""
        return all(self.published(server, room)
                   for server in self.servers for room in ROOMS)

    def published(self, server, room):
        data = self.scheduler.unique_text(100)
        response = send_request(server, "POST",
                                room.replace("/", "/publish-", 1), body=data)
        if response.status == 200:
            self.scheduler.checker.record(room, json.loads(response.body)["id"],
                                          data)
        return response.status == 200

    # The end

    def close(self):
        self.redis.remove()
