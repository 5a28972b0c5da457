"""The soak of several hosts with a Redis between them, which is killed, emptied
and frozen while the way to it is cut, held up and slow."""

import json

from hosts import COMPLAINT
from nginx_server import seconds, wait_until
from redis_server import RedisServer
from soak_checker import Fault
from soak_clients import LOST, Echo
from soak_requests import ask, tell
from soak_run import EXPECTED, WORKERS, Soak
from soak_scheduler import PEACE, ROOMS, WAR, Town
from tcp_proxy import SlowRelay

OPTIONS = "connect_timeout=1s command_timeout=1s queue=256k"
LONGEST = 1.5  # seconds of trouble

# By which the workers of a host speak to each other: two of each worker, and
# one of the leader.
OWN_SUBSCRIPTIONS = 2 * WORKERS + 1


class HostsTown(Town):
    """Its clients go to any of the hosts. There is one trouble at a time."""

    def __init__(self, servers, seed, redis, relays):
        super().__init__(servers, seed)
        self.redis = redis
        self.relays = relays
        self.ledger.forgetful = True
        self.lossless = set()  # what Redis loses is no drop of a host's
        # An emptied Redis has lost whatever an echo might have been told
        Echo.codes = {*Echo.codes, LOST}
        self.end_of_trouble = None

    def trouble(self):
        """Begins one that ends by itself."""
        if self.end_of_trouble is not None:
            return
        name = self.dice.choice(["kill", "empty", "freeze", "cut", "reset",
                                 "hold", "mute", "slow_down"])
        self.counts["troubles"] += 1
        self.counts[f"trouble: {name}"] += 1
        self.end_of_trouble = getattr(self, f"begin_{name}")()
        self.later(self.dice.uniform(0.02, LONGEST), self.calm)

    def calm(self):
        """The end of the trouble, if there is one."""
        end, self.end_of_trouble = self.end_of_trouble, None
        if end is not None:
            end()

    def dismiss(self):
        self.calm()
        super().dismiss()

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
        relay = self.dice.choice(self.relays)
        relay.cut()
        return relay.heal

    def begin_reset(self):
        relay = self.dice.choice(self.relays)
        relay.reset()
        return lambda: None

    def begin_hold(self):
        relay = self.dice.choice(self.relays)
        relay.hold()
        return relay.release

    def begin_mute(self):
        """What is said arrives; the answers are late, or lost."""
        relay = self.dice.choice(self.relays)
        relay.hold("down")

        def end():
            if self.dice.random() < 0.5:
                relay.reset()
            relay.release()
        return end

    def begin_slow_down(self):
        relay = self.dice.choice(self.relays)
        relay.slow_down(self.dice.uniform(0.01, 0.3))
        return relay.heal


class HostsSoak(Soak):
    """The same course. What Redis holds in the end counts as well."""

    war = dict(WAR, trouble=1)
    peace = dict(PEACE, trouble=0.5)
    expected = [*EXPECTED, "troubles"]

    def __init__(self, hosts, seed, duration, folder):
        self.hosts = hosts
        self.redis = RedisServer(keep=True)
        self.relays = []
        super().__init__(seed, duration, folder)

    def found(self, seed):
        for _ in range(self.hosts):
            relay = SlowRelay(self.redis.port)
            self.relays.append(relay)
            self.serve(f"websocket_redis {self.redis.url(port=relay.port)} "
                       f"{OPTIONS};")
            self.servers[-1].allow_errors(COMPLAINT)
        return HostsTown(self.servers, seed, self.redis, self.relays)

    # What must not grow

    def capacity(self):
        """Rather than how many messages the shared memory would hold: what
        is in it when nobody is there."""
        wait_until(lambda: all(zone["subscriptions"] <= OWN_SUBSCRIPTIONS
                               for zone in self.zones()),
                   seconds(15), "the end of subscriptions")
        return 1

    def zones(self):
        return [tell(server, "/status")["zone"]
                for server in self.servers]

    def all_leave(self, files):
        super().all_leave(files)
        self.nobody_is_counted()

    def nobody_is_counted(self):
        """Redis has no counts, and no host listens to a room."""
        wait_until(lambda: not self.redis.keys("ws:c:*"), seconds(15),
                   "the end of counts")
        wait_until(lambda: not self.redis.subscriptions("ws:n:*"),
                   seconds(15), "the end of subscriptions")

    def compare(self, before, after):
        super().compare(before, after)
        for key in self.redis.keys("ws:s:*"):
            if self.redis.command("TTL", key) < 0:
                raise Fault(f"{key} never expires")

    # What all must have got

    def converge(self):
        self.town.calm()
        self.town.wait_until(self.all_publish, 15, lambda: "all publish")
        super().converge()

    def all_publish(self):
        """Each host is in touch with Redis again."""
        path = ROOMS[0].replace("/", "/publish-", 1)
        return all(self.published(server, path) for server in self.servers)

    def published(self, server, path):
        data = self.town.words(100)
        told = ask(server, "POST", path, body=data)
        if told.status == 200:
            self.town.ledger.record(ROOMS[0], json.loads(told.body)["id"],
                                    data)
        return told.status == 200

    # The end

    def close(self):
        for relay in self.relays:
            relay.close()
        self.redis.remove()
