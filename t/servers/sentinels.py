"""Real sentinels on loopback, with the master and the replica that they
watch."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from loopback_ports import free_ports
from nginx_server import die_with_parent, seconds, wait_until
from redis_client import RedisClient, RedisError
from redis_server import REDIS, RedisServer

MASTER = "mymaster"


class Sentinel:
    """One sentinel. Its configuration has the replica and the other sentinels,
    so that it need not discover them."""

    def __init__(self, port, tls_port=None):
        self.port = port
        self.tls_port = tls_port
        self.id = os.urandom(20).hex()
        self.folder = tempfile.mkdtemp(prefix="sentinel-")
        self.process = None

    def start(self, master, replica, others, lines):
        """Writes the configuration, which the sentinel changes later, and
        starts the process."""
        lines = [
            f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}",
            f"logfile {self.folder}/log", f"sentinel myid {self.id}",
            f"sentinel monitor {MASTER} 127.0.0.1 {master.service_port} 2",
            f"sentinel failover-timeout {MASTER} 5000",
            f"sentinel known-replica {MASTER} 127.0.0.1 "
            f"{replica.service_port}",
            *(f"sentinel known-sentinel {MASTER} 127.0.0.1 "
              f"{each.service_port} {each.id}" for each in others), *lines]
        path = os.path.join(self.folder, "sentinel.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        self.restart()

    @property
    def service_port(self):
        return self.tls_port or self.port

    def restart(self):
        """Starts the process, also again after kill()."""
        self.process = subprocess.Popen(
            [REDIS, os.path.join(self.folder, "sentinel.conf"), "--sentinel"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)

    def freeze(self):
        """Stops the process by SIGSTOP: it accepts connections and is
        silent."""
        self.process.send_signal(signal.SIGSTOP)

    def kill(self):
        self.process.kill()
        self.process.wait(seconds(10))

    def remove(self):
        self.process.send_signal(signal.SIGCONT)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class SentinelGroup:
    """A master, its replica, and three sentinels that watch them.

    password: required by all of them. tls: a Certificate, with which all of
    them also listen on a TLS port, and nginx uses it. down_after: the
    milliseconds without a reply after which the master is replaced.
    """

    def __init__(self, password=None, tls=None, down_after=60_000, count=3):
        self.password = password
        self.tls = tls
        self.down_after = down_after
        settings = {"repl-diskless-sync-delay": "0", "repl-timeout": "5"}
        if password:
            settings.update(requirepass=password, masterauth=password)
        if tls:
            settings["tls-replication"] = "yes"
        self.master = RedisServer(tls=tls, **settings)
        self.replica = RedisServer(tls=tls, **settings)
        self.replica.command("REPLICAOF", "127.0.0.1",
                             self.master.service_port)
        ports = free_ports(2 * count)
        self.sentinels = [
            Sentinel(port, tls_port if tls else None)
            for port, tls_port in zip(ports[:count], ports[count:])]
        for each in self.sentinels:
            others = [one for one in self.sentinels if one is not each]
            each.start(self.master, self.replica, others, self.lines(each))
        wait_until(self.is_ready, seconds(15), "sentinels that see all")

    def lines(self, sentinel):
        """Lines of sentinel.conf for the options."""
        lines = ["sentinel down-after-milliseconds "
                 f"{MASTER} {self.down_after}"]
        if self.password:
            lines += [f"requirepass {self.password}",
                      f"sentinel auth-pass {MASTER} {self.password}"]
        if self.tls:
            lines += [f"tls-port {sentinel.tls_port}",
                      f"tls-cert-file {self.tls.certificate}",
                      f"tls-key-file {self.tls.key}",
                      f"tls-ca-cert-file {self.tls.authority}",
                      "tls-auth-clients no", "tls-replication yes"]
        return lines

    def ask(self, sentinel, *arguments):
        """Sends one command to a sentinel; returns the reply."""
        with RedisClient(("127.0.0.1", sentinel.port), self.password) as client:
            return client.ask(*arguments)

    def is_ready(self):
        """Whether the replica is connected, and each sentinel sees the replica
        and a quorum that can fail over."""
        with contextlib.suppress(OSError, RedisError):
            return "master_link_status:up" in self.replica.command(
                "INFO", "replication") and all(
                    self.sees_all(each) for each in self.sentinels)
        return False

    def sees_all(self, sentinel):
        self.ask(sentinel, "SENTINEL", "CKQUORUM", MASTER)
        replicas = self.ask(sentinel, "SENTINEL", "REPLICAS", MASTER)
        fields = dict(zip(replicas[0][::2], replicas[0][1::2]))
        return fields["master-link-status"] == "ok"

    def fail_over(self):
        """Begins a failover though the master works."""
        self.ask(self.sentinels[1], "SENTINEL", "FAILOVER", MASTER)

    def url(self, sentinels=None, master=MASTER):
        """The URL for a configuration. sentinels: ports, instead of all."""
        ports = sentinels or [each.service_port for each in self.sentinels]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        password = f":{self.password}@" if self.password else ""
        scheme = "sentinels" if self.tls else "sentinel"
        return f"{scheme}://{password}{hosts}/{master}"

    def announcements(self):
        """Watches for announcements of a new master from now on."""
        return Announcements(self)

    def remove(self):
        for each in [*self.sentinels, self.replica, self.master]:
            each.remove()


class Announcements:
    """The time at which any sentinel announced a new master first. `with` ends
    the connections."""

    def __init__(self, group):
        self.time = None
        self.clients = []
        self.threads = []
        for each in group.sentinels:
            client = RedisClient(("127.0.0.1", each.port), group.password,
                                 timeout=seconds(60))
            client.ask("SUBSCRIBE", "+switch-master")
            self.clients.append(client)
            self.threads.append(threading.Thread(
                target=self.watch, args=(client,), daemon=True))
            self.threads[-1].start()

    def watch(self, client):
        with contextlib.suppress(OSError, ValueError):
            client.read()
            now = time.monotonic()
            self.time = min(self.time or now, now)

    def wait(self, timeout=20):
        """Waits for the first announcement; returns its time."""
        return wait_until(lambda: self.time, seconds(timeout),
                          "an announcement")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.socket.shutdown(2)
        for thread in self.threads:
            thread.join()
        for client in self.clients:
            client.close()
