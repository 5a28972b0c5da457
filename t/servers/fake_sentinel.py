"""A sentinel on loopback that answers what the test chooses."""

import contextlib

from fake_redis import FakeRedis
from redis_client import encode


class FakeSentinel(FakeRedis):
    """Names `master`, a host and a port, or None for a master that it does not
    know. epoch: the version of its configuration. asked: how often it was
    asked. The subscribers get what announce() sends."""

    def __init__(self, host, port, epoch=0):
        super().__init__()
        self.master = (host, port)
        self.epoch = epoch
        self.asked = 0
        self.subscribers = []

    def answer(self, command, output):
        """The bytes of the reply."""
        args = [arg.upper() for arg in command[:2]]
        if args[0] == "PING":
            return b"+PONG\r\n"
        if args[0] == "AUTH":
            return b"-ERR AUTH called without any password configured\r\n"
        if args[0] == "SUBSCRIBE":
            self.subscribers.append(output)
            return b"*3\r\n$9\r\nsubscribe\r\n" + \
                encode(command[1:])[4:] + b":1\r\n"
        assert args[0] == "SENTINEL", command
        if args[1] == "MASTER":
            return encode(["name", command[2], "config-epoch", self.epoch])
        self.asked += 1
        return encode(self.master) if self.master else b"*-1\r\n"

    def announce(self, host, port, epoch):
        """Names another master from now on."""
        message = f"mymaster {self.master[0]} {self.master[1]} {host} {port}"
        self.master, self.epoch = (host, port), epoch
        for each in self.subscribers:
            with contextlib.suppress(OSError, ValueError):
                each.write(encode(["message", "+switch-master", message]))
