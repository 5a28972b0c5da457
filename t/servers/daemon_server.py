"""An nginx that runs as a daemon, as an upgrade requires."""

import contextlib
import os
import signal
import subprocess

from nginx_server import (NGINX, NginxServer, nginx_environment, seconds,
                          wait_until, write_config)
from worker_probe import state

# nginx passes no other variables to the program it starts.
PRELOADED = "env LD_PRELOAD; env ASAN_OPTIONS; env UBSAN_OPTIONS;"


def alive(pid):
    """Whether a process runs. A zombie does not run."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return state(pid) != "Z"
    return False


def children(pid):
    """The pids of a process's children."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open(f"/proc/{pid}/task/{pid}/children",
                  encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    return []


class Daemon:
    """A substitute for subprocess.Popen if the process is not a child. Its
    exit status is unknown."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        return None if alive(self.pid) else 0

    def wait(self, timeout):
        try:
            wait_until(lambda: not alive(self.pid), timeout, "the end")
        except AssertionError:
            raise subprocess.TimeoutExpired("nginx", timeout) from None
        return 0


class DaemonServer(NginxServer):
    """An nginx whose program can be replaced while it runs."""

    def _start(self):
        path, ports, self.token = write_config(self.prefix, self.config)
        self.control_port, self.port, self.tls_port, *self.ports = ports
        self.rewrite_config("daemon off;", "daemon on;")
        with open(os.path.join(self.prefix, "stderr"), "wb") as stderr:
            done = subprocess.run(
                [NGINX, "-p", self.prefix, "-c", path], check=False,
                env=nginx_environment(self.prefix), stdout=stderr,
                stderr=stderr, stdin=subprocess.DEVNULL,
                timeout=seconds(15))
        if done.returncode != 0:
            return False
        self.pid = wait_until(lambda: self._read_pid("nginx.pid"), seconds(5),
                              "nginx.pid")
        self.process = Daemon(self.pid)
        wait_until(self.ready, seconds(15), "the start of nginx")
        return True

    def _read_pid(self, name):
        with contextlib.suppress(FileNotFoundError, ValueError):
            with open(os.path.join(self.prefix, name),
                      encoding="ascii") as file:
                return int(file.read())
        return None

    @contextlib.contextmanager
    def upgraded(self):
        """Starts a second master with its own workers and yields its pid. The
        block may let it replace the old master. It is stopped at the end of the
        block."""
        self.send_signal(signal.SIGUSR2)
        wait_until(lambda: self._read_pid("nginx.pid.oldbin") == self.pid
                   and self._read_pid("nginx.pid"), seconds(10),
                   "a new master")
        master = self._read_pid("nginx.pid")
        try:
            wait_until(lambda: len(children(master)) >= self.config.workers,
                       seconds(10), "its workers")
            yield master
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(master, signal.SIGTERM)
            wait_until(lambda: not alive(master), seconds(10), "a dead master")
