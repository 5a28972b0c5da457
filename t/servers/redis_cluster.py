"""A real Redis Cluster on loopback: three masters, each with a replica."""

import contextlib
import itertools
import re
import subprocess

from loopback_ports import free_ports
from nginx_server import seconds, wait_until
from redis_client import RedisError
from redis_server import REDIS, RedisServer

SLOTS = 16384
SHARDS = 16


def redis_version():
    """The major version of the server that tests use."""
    text = subprocess.run([REDIS, "--version"], stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    return int(re.search(r"\bv=(\d+)", text).group(1))


def slot_of(shard):
    """The slot of a shard's keys: a CRC of what is between the braces."""
    number = 0
    for byte in str(shard).encode():
        number ^= byte << 8
        for _ in range(8):
            number = (number << 1 ^ (0x1021 if number & 0x8000 else 0)) & 0xffff
    return number % SLOTS


class RedisCluster:
    """Masters, each with `replicas` replicas.

    node_timeout: the milliseconds after which a silent master is replaced.
    more: options of RedisServer.
    """

    def __init__(self, masters=3, replicas=1, node_timeout=60_000, **more):
        password = more.get("requirepass")
        settings = {"cluster_enabled": "yes",
                    "cluster_node_timeout": node_timeout,
                    "repl_diskless_sync_delay": "0", **more}
        if password:
            settings["masterauth"] = password
        if more.get("tls"):
            settings["tls_cluster"] = settings["tls_replication"] = "yes"
        self.nodes = [RedisServer(**settings, cluster_port=port)
                      for port in free_ports(masters * (1 + replicas))]
        self.password = password
        self.path = None
        self.masters = self.nodes[:masters]
        self.replicas = self.nodes[masters:]
        self._meet()
        self._add_slots()
        self._replicate()

    def _meet(self):
        for number, node in enumerate(self.nodes, 1):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number)
        for node, other in itertools.combinations(self.nodes, 2):
            node.command("CLUSTER", "MEET", "127.0.0.1", other.service_port,
                         other.settings["cluster-port"])
        wait_until(lambda: all(
            self.known(node).count(" connected") == len(self.nodes)
            for node in self.nodes), seconds(20), "nodes that know all")

    def _add_slots(self):
        count = len(self.masters)
        for number, node in enumerate(self.masters):
            node.command("CLUSTER", "ADDSLOTSRANGE", SLOTS * number // count,
                         SLOTS * (number + 1) // count - 1)
        wait_until(lambda: all(self.is_up(node) for node in self.nodes),
                   seconds(20), "a cluster that is up")

    def _replicate(self):
        for number, node in enumerate(self.replicas):
            master = self.masters[number % len(self.masters)]
            node.command("CLUSTER", "REPLICATE", self.id_of(master))
        wait_until(lambda: all("master_link_status:up" in node.command(
            "INFO", "replication") for node in self.replicas), seconds(20),
                   "replicas that are connected")
        wait_until(lambda: all(
            self.known(node).count("slave") == len(self.replicas)
            for node in self.nodes), seconds(20), "replicas that all know")

    @staticmethod
    def is_up(node):
        return "cluster_state:ok" in node.command("CLUSTER", "INFO")

    @staticmethod
    def known(node):
        """The lines about nodes that a node knows."""
        return "".join(
            line for line in node.command("CLUSTER", "NODES").splitlines()
            if "handshake" not in line)

    @staticmethod
    def id_of(node):
        return node.command("CLUSTER", "MYID")

    def running(self):
        return [node for node in self.nodes if node.running]

    def replica_of(self, master):
        return self.replicas[self.masters.index(master)]

    # The slots

    def node_with(self, slot):
        """The master that has a slot, as it sees itself."""
        for node in self.running():
            with contextlib.suppress(OSError, RedisError):
                for line in node.command("CLUSTER", "NODES").splitlines():
                    fields = line.split()
                    if "myself,master" in fields[2] and any(
                            first <= slot <= last for first, last
                            in map(slot_range, fields[8:])):
                        return node
        return None

    def node_of(self, shard):
        """The master that has a shard."""
        return wait_until(lambda: self.node_with(slot_of(shard)), seconds(10),
                          f"a node with the slot of shard {shard}")

    def other_than(self, node):
        """Another master."""
        return next(each for each in self.masters
                    if each is not node and each.running)

    @contextlib.contextmanager
    def moving(self, shard, to):
        """Moves the slot of a shard; its keys move when the block calls what
        it gets."""
        slot = slot_of(shard)
        source = self.node_of(shard)
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(to))

        def move_keys(count=None):
            keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
            for key in keys[:count]:
                source.command("MIGRATE", "127.0.0.1", to.port, key, 0, 5000,
                               *(["AUTH", self.password] if self.password
                                 else []))
            return len(keys)

        yield move_keys
        while move_keys():
            pass
        for node in (to, source):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(to))

    def move(self, shard, to):
        """Moves the slot of a shard with its keys."""
        with self.moving(shard, to):
            pass

    # As a RedisServer, for Hosts

    def url(self, nodes=None, *_):
        """The URL for a configuration. nodes: ports, instead of all."""
        if isinstance(nodes, str):
            nodes = None
        ports = nodes or [each.service_port for each in self.nodes]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        password = f":{self.password}@" if self.password else ""
        scheme = "clusters" if self.nodes[0].tls else "cluster"
        return f"{scheme}://{password}{hosts}"

    def remove(self):
        for each in self.nodes:
            each.remove()


def slot_range(text):
    """The first and the last slot of a field of CLUSTER NODES."""
    if text.startswith("["):  # it is moving
        return SLOTS, SLOTS
    first, _, last = text.partition("-")
    return int(first), int(last or first)
