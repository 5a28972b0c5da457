"""A Redis of a soak, with a replica that can take over. Redis is killed,
emptied and frozen. Connections to it are cut, paused and slowed down."""

import random
import time

from redis_server import RedisServer
from tcp_proxy import TcpProxy


class RedisPair:
    """A Redis, and its replica, which can take over under the same addresses:
    those of the proxies."""

    faults = ["kill", "empty", "freeze", "cut", "reset", "pause", "mute",
              "slow_down", "fail_over"]
    first_faults = ["fail_over"]  # needs a replica that follows its master
    longest = 1.5  # seconds of a fault

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.failed_over_at = 0  # ms since 1970; 0: never
        self.proxies = []
        self.master = RedisServer(keep=True)
        self.standby = RedisServer(keep=True, repl_diskless_sync_delay=0)
        self.follow()

    def url(self):
        """The URL for one more host, which has its own proxy."""
        self.proxies.append(TcpProxy(self.master.port))
        return self.master.url(port=self.proxies[-1].port)

    def follow(self):
        self.standby.command("REPLICAOF", self.master.address,
                             self.master.port)

    def remove(self):
        for proxy in self.proxies:
            proxy.close()
        self.master.remove()
        self.standby.remove()

    # Its data

    def last_failover(self):
        return self.failed_over_at

    def keys(self, pattern):
        return self.master.keys(pattern)

    def permanent_keys(self, pattern):
        """The keys that never expire."""
        return [key for key in self.keys(pattern)
                if self.master.command("TTL", key) == -1]

    def channels(self, pattern):
        return self.master.subscriptions(pattern)

    # Faults

    def begin_kill(self):
        self.master.kill()
        return self.master.start

    def begin_empty(self):
        self.master.kill()
        return lambda: self.master.start(empty=True)

    def begin_freeze(self):
        self.master.freeze()
        return self.master.thaw

    def begin_fail_over(self):
        """The master is killed. Data that its replica does not have are
        lost."""
        state = self.standby.info("replication")
        if state.get("master_link_status") != "up":
            return None
        self.master.kill()
        self.standby.command("REPLICAOF", "NO", "ONE")
        self.master, self.standby = self.standby, self.master
        for proxy in self.proxies:
            proxy.upstream = self.master.port
        for proxy in self.proxies:
            proxy.reset()
        self.failed_over_at = time.time() * 1000

        def end():
            self.standby.start(empty=True)
            self.follow()
        return end

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
