"""A Redis Cluster of a soak. Slots move, masters are killed, emptied and
frozen, and replicas take over."""

import contextlib
import datetime
import random
import re
import time

from hosts import shard_of
from redis_cluster import SHARDS, SLOTS, RedisCluster, slot_of, slot_range
from redis_client import RedisError
from soak_checker import Fault
from soak_scheduler import ROOMS

NODE_TIMEOUT = 1000  # milliseconds until a replica takes over
LONGEST_OUTAGE = 60  # seconds after which the cluster must be whole again
SHARDS_OF_ROOMS = [
    shard_of("room:" + room.replace("?k=", "").lstrip("/")) for room in ROOMS]


class SoakCluster:
    """Three masters, each with a replica."""

    faults = ["move_slot", "move_slowly", "kill_master", "restart_master",
              "empty_master", "freeze_master", "freeze", "hand_over",
              "take_over", "flush", "reset", "pause"]
    first_faults = ["move_slot", "kill_master"]
    longest = 1.5  # seconds of a fault, if it does not wait for the cluster

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.failed_over_at = 0  # ms since 1970; 0: never
        self.whole_at = time.monotonic()
        self.cluster = RedisCluster(
            keep=True, node_timeout=NODE_TIMEOUT,
            cluster_require_full_coverage="no",
            cluster_replica_validity_factor=0)

    def url(self):
        return self.cluster.url()

    def remove(self):
        self.cluster.remove()

    # Its data

    def last_failover(self):
        """On a busy machine a replica may take over from a slow master."""
        return max([self.failed_over_at,
                    *(election for node in self.cluster.nodes
                      for election in elections(node))])

    def masters(self):
        return [node for node in self.cluster.nodes if is_master(node)]

    def keys(self, pattern):
        return [key for node in self.masters() for key in node.keys(pattern)]

    def permanent_keys(self, pattern):
        """The keys that never expire."""
        return [key for node in self.masters() for key in node.keys(pattern)
                if node.command("TTL", key) == -1]

    def channels(self, pattern):
        return [name for node in self.masters()
                for name in node.command("PUBSUB", "SHARDCHANNELS", pattern)]

    def is_whole(self):
        """Whether each master has a replica that has all its data."""
        whole = False
        with contextlib.suppress(OSError, RedisError):
            whole = all(map(self.is_complete, self.cluster.nodes))
        now = time.monotonic()
        self.whole_at = now if whole else self.whole_at
        if now - self.whole_at > LONGEST_OUTAGE:
            raise Fault("the cluster does not recover")
        return whole

    def is_complete(self, node):
        role = node.command("ROLE")
        return self.cluster.is_up(node) and (
            len(role[2]) == 1 if role[0] == "master"
            else role[3] == "connected")

    def shard(self):
        """Any shard, but mostly one of a room with many clients."""
        return self.random.choice(
            [*SHARDS_OF_ROOMS, self.random.randrange(SHARDS)])

    def choose(self):
        """A master, or None while not all have a replica."""
        return self.cluster.node_of(self.shard()) if self.is_whole() else None

    def choose_pair(self):
        """A master and its replica, or None while not all have one."""
        master = self.choose()
        ports = [int(port) for _, port, _ in master.command("ROLE")[2]] \
            if master else []
        return next(((master, node) for node in self.cluster.nodes
                     if node.port in ports), None)

    # Slots

    def begin_move_slot(self):
        return self.move(lambda moving: moving.close())

    def begin_move_slowly(self):
        """A few keys at a time: messages wait."""
        return self.move(lambda moving: None)

    def move(self, begin):
        """Moves the slot of a shard to another master, which keeps another
        shard."""
        shard = self.shard()
        if not self.is_whole():
            return None
        source = self.cluster.node_of(shard)
        if shards_at(source) == 1:
            return None
        to = self.random.choice([node for node in self.masters()
                                 if node is not source])
        stack = contextlib.ExitStack()
        move_keys = stack.enter_context(self.cluster.moving(shard, to))

        def end():
            try:
                count = self.random.randint(1, 3)
                if move_keys(count) > count:
                    return True
                stack.close()
            except RedisError:  # a replica has taken over meanwhile
                self.give_up(slot_of(shard))
            return False

        try:
            begin(stack)
        except RedisError:
            self.give_up(slot_of(shard))
        return end

    def give_up(self, slot):
        """Ends the move of a slot. Keys that have moved are lost."""
        owner = self.cluster.node_with(slot)
        for node in self.masters():
            with node.client() as client:
                if node is not owner:
                    for key in client.ask("CLUSTER", "GETKEYSINSLOT", slot,
                                          10_000):
                        client.ask("ASKING")
                        client.ask("DEL", key)
                client.ask("CLUSTER", "SETSLOT", slot, "STABLE")

    # Failovers

    def begin_kill_master(self):
        """Its replica takes over. Data that it does not have are lost."""
        return self.replace(lambda master: master.kill(),
                            lambda master: master.start(empty=True))

    def begin_freeze_master(self):
        """It learns that its replica has taken over when it continues."""
        return self.replace(lambda master: master.freeze(),
                            lambda master: master.thaw())

    def replace(self, begin, end):
        """Ends the fault when the replica of the master has taken over."""
        pair = self.choose_pair()
        if pair is None:
            return None
        master, replica = pair
        self.failed_over_at = time.time() * 1000
        begin(master)
        return lambda: not is_master(replica) or end(master)

    def begin_hand_over(self):
        """A planned failover loses nothing."""
        return self.fail_over()

    def begin_take_over(self):
        """The replica takes over from a master that works."""
        self.failed_over_at = time.time() * 1000
        return self.fail_over("FORCE")

    def fail_over(self, *options):
        """The replica may give up."""
        pair = self.choose_pair()
        if pair is None:
            return None
        _, replica = pair
        replica.command("CLUSTER", "FAILOVER", *options)
        until = time.monotonic() + 6
        return lambda: not is_master(replica) and time.monotonic() < until

    # Other faults

    def begin_restart_master(self):
        return self.restart(empty=False)

    def begin_empty_master(self):
        return self.restart(empty=True)

    def restart(self, empty):
        """Its replica takes over if that is late."""
        master = self.choose()
        if master is None:
            return None
        self.failed_over_at = time.time() * 1000
        master.kill()
        return lambda: master.start(empty)

    def begin_freeze(self):
        """Its replica takes over if that is long."""
        master = self.choose()
        if master is None:
            return None
        self.failed_over_at = time.time() * 1000
        master.freeze()
        return master.thaw

    def begin_flush(self):
        master = self.choose()
        if master is None:
            return None
        master.flushall()
        return lambda: None

    def begin_reset(self):
        """All connections to the node end, also those of its replica."""
        master = self.choose()
        if master is None:
            return None
        master.client_kill()
        return lambda: None

    def begin_pause(self):
        master = self.choose()
        if master is None:
            return None
        pause = self.random.uniform(0.02, self.longest)
        until = time.monotonic() + pause
        master.command("CLIENT", "PAUSE", int(1000 * pause))
        return lambda: time.monotonic() < until


def elections(node):
    """When the node became a master, in ms since 1970."""
    for text in re.findall(r"(?m)^\d+:\w (.*) \S Failover election won",
                           node.log()):
        yield 1000 * datetime.datetime.strptime(
            text, "%d %b %Y %H:%M:%S.%f").timestamp()


def is_master(node):
    """Whether a node is a master, as it sees itself."""
    with contextlib.suppress(OSError, RedisError):
        return node.running and node.command("ROLE")[0] == "master"
    return False


def shards_at(master):
    """The number of shards whose slots a master has."""
    mine, = [line for line in master.command("CLUSTER", "NODES").splitlines()
             if "myself" in line]
    ranges = [slot_range(text) for text in mine.split()[8:]]
    return sum(first <= slot_of(shard) <= last < SLOTS
               for shard in range(SHARDS) for first, last in ranges)
