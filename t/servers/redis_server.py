"""Starts, watches, stops and breaks a real redis-server on loopback."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile

from loopback_ports import free_ports
from nginx_server import (START_ATTEMPTS, die_with_parent, seconds,
                          wait_until)
from redis_client import RedisClient, RedisError
from worker_probe import state

REDIS = os.environ.get("WEBSOCKET_REDIS", "/usr/bin/redis-server")
ADDRESS_IN_USE = "Address already in use"


class RedisServer:
    """One redis-server with its own folder.

    keep: its data survive a restart. unix: it also listens on a socket at
    `path`. address, port: used instead of 127.0.0.1 and a free port. tls: a
    Certificate, with which it also listens at `tls_port`. settings: lines of
    redis.conf by name, with `_` for `-`.
    """

    def __init__(self, keep=False, unix=False, address="127.0.0.1", port=None,
                 tls=None, **settings):
        self.folder = tempfile.mkdtemp(prefix="redis-")
        self.keep = keep
        self.path = os.path.join(self.folder, "socket") if unix else None
        self.settings = {name.replace("_", "-"): value
                         for name, value in settings.items()}
        self.password = self.settings.get("requirepass")
        self.process = None
        self.address = address
        self.port = port
        self.tls = tls
        self.tls_port = None
        for _ in range(START_ATTEMPTS):
            ports = free_ports(2)
            self.port = port or ports[0]
            self.tls_port = ports[1] if tls else None
            if self._start():
                return
        raise AssertionError("no free port in several attempts")

    # Starting and stopping

    def _start(self):
        """Starts Redis; returns False if another process took the port
        first."""
        settings = {"port": self.port, "bind": self.address, "save": "",
                    "appendonly": "yes" if self.keep else "no",
                    "appendfsync": "no", "dir": self.folder,
                    "logfile": os.path.join(self.folder, "log"),
                    **self.settings}
        if self.path:
            settings["unixsocket"] = self.path
        if self.tls:
            settings = {"tls-port": self.tls_port,
                        "tls-cert-file": self.tls.certificate,
                        "tls-key-file": self.tls.key,
                        "tls-ca-cert-file": self.tls.authority,
                        "tls-auth-clients": "no", **settings}
        command = [REDIS]
        for name, value in settings.items():
            command += [f"--{name}", *str(value).split(" ")]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_until(lambda: self.process.poll() is not None or self.ready(),
                   seconds(15), "the start of Redis")
        if self.process.poll() is None:
            return True
        output = self.log()
        assert ADDRESS_IN_USE in output, f"Redis did not start:\n{output}"
        os.unlink(os.path.join(self.folder, "log"))
        return False

    def ready(self):
        """Whether this process answers, and has loaded its data."""
        with contextlib.suppress(OSError, RedisError):
            return f"process_id:{self.process.pid}\r" in self.command(
                "INFO", "server") and self.command("PING") == "PONG"
        return False

    @property
    def pid(self):
        return self.process.pid

    @property
    def service_port(self):
        """The port for nginx: that of TLS, if there is one."""
        return self.tls_port or self.port

    @property
    def running(self):
        return self.process.poll() is None

    def log(self):
        """The log of all its processes."""
        with contextlib.suppress(FileNotFoundError):
            with open(os.path.join(self.folder, "log"),
                      encoding="utf-8") as file:
                return file.read()
        return ""

    def stop(self):
        """Stops it by SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self):
        """Kills it by SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, number):
        if self.running:
            self.process.send_signal(number)
            if number != signal.SIGKILL:
                self.thaw()
        self.process.wait(seconds(10))

    def start(self, empty=False):
        """Starts it again on the same port, with its data if it was created
        with `keep` and `empty` is not set."""
        assert not self.running
        if empty:
            for name in os.listdir(self.folder):
                path = os.path.join(self.folder, name)
                if name.startswith("appendonly") and os.path.isdir(path):
                    shutil.rmtree(path)
                elif name.startswith("appendonly"):
                    os.unlink(path)
        assert self._start(), f"another process has taken port {self.port}"

    def restart(self, empty=False):
        """Kills it and starts it again."""
        self.kill()
        self.start(empty)

    def freeze(self):
        """Stops the process by SIGSTOP. The kernel still accepts connections
        and bytes, but nothing replies."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: state(self.pid) in "Tt", seconds(5), "the stop")

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self):
        """Stops the process by SIGSTOP for the time of the block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def remove(self):
        """Stops it and removes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Commands

    def client(self, **options):
        """Opens a connection."""
        return RedisClient((self.address, self.port), self.password,
                           **options)

    def command(self, *arguments):
        """Sends one command on a new connection; returns the reply."""
        with self.client() as client:
            return client.ask(*arguments)

    def url(self, scheme="redis", port=None):
        """Its URL for a configuration; port: that of a proxy."""
        if scheme == "unix":
            return f"unix:{self.path}"
        password = f":{self.password}@" if self.password else ""
        name = "rediss" if self.tls else "redis"
        return (f"{name}://{password}{self.address}:"
                f"{port or self.service_port}")

    def info(self, section="all"):
        """The statistics of INFO, as a dict of strings."""
        return dict(re.findall(r"(?m)^(\w+):(.*)\r$",
                               self.command("INFO", section)))

    def limits_channels(self):
        """Whether the rules of users include channels: not in Redis 6.0."""
        version = self.info()["redis_version"].split(".")
        return tuple(map(int, version[:2])) >= (6, 2)

    def set_user(self, name, *rules):
        """Sets the rules of a user that this release knows."""
        self.command("ACL", "SETUSER", name,
                     *(rule for rule in rules
                       if self.limits_channels() or not rule.startswith("&")))

    def config_set(self, name, value):
        """Changes a setting, also for later starts. A new password is used by
        command() too."""
        name = name.replace("_", "-")
        self.command("CONFIG", "SET", name, value)
        self.settings[name] = value
        if name == "requirepass":
            self.password = value or None

    def calls(self, command):
        """How often clients and scripts have run a command."""
        found = re.search(rf"cmdstat_{command}:calls=(\d+)",
                          self.command("INFO", "commandstats"))
        return int(found.group(1)) if found else 0

    def flushall(self):
        self.command("FLUSHALL")

    def keys(self, pattern="*"):
        return sorted(self.command("KEYS", pattern))

    # Its connections

    def connections(self):
        """The connections of CLIENT LIST, without the one of this command, as
        dicts of strings."""
        lines = self.command("CLIENT", "LIST").splitlines()
        found = [dict(part.partition("=")[::2] for part in line.split())
                 for line in lines]
        return [each for each in found
                if each["cmd"] not in ("client|list", "client")]

    def subscribers(self):
        """The connections that have subscribed to a channel."""
        return [each for each in self.connections()
                if int(each["sub"]) + int(each["psub"])
                + int(each.get("ssub", 0))]

    def client_kill(self, connection=None):
        """Ends one connection, or all except the one of this command."""
        if connection is not None:
            return self.command("CLIENT", "KILL", "ID", connection["id"])
        with self.client() as client:
            own_id = client.ask("CLIENT", "ID")
            lines = client.ask("CLIENT", "LIST").splitlines()
            ids = [re.search(r"\bid=(\d+)", line).group(1) for line in lines]
            return sum(client.ask("CLIENT", "KILL", "ID", one)
                       for one in ids if int(one) != own_id)

    def subscriptions(self, pattern="*"):
        """The number of subscribers of each channel."""
        with self.client() as client:
            channels = client.ask("PUBSUB", "CHANNELS", pattern)
            output = client.ask("PUBSUB", "NUMSUB", *channels)
        counts = dict(zip(output[::2], output[1::2]))
        return {name: count for name, count in counts.items() if count}
