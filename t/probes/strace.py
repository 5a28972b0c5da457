"""Records the system calls of a worker with strace."""

import collections
import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile

import pytest

from nginx_server import seconds, wait_until
from worker_probe import state

# System calls on plain sockets. nginx uses write() for logs, OpenSSL for
# sockets.
RECEIVING = {"recvfrom", "recvmsg", "readv"}
SENDING = {"sendto", "sendmsg", "writev", "sendfile"}
WAITING = {"epoll_wait"}
OTHERS = {"ioctl"}

CALL = re.compile(r"^(?:\d+ +)?(\w+)\((\d+).*= (-?\d+)")
Call = collections.namedtuple("Call", "name descriptor result")


class Trace:
    """The calls that were made while strace watched."""

    def __init__(self):
        self.calls = []

    def load(self, text):
        for line in text.splitlines():
            if found := CALL.match(line):
                name, descriptor, result = found.groups()
                self.calls.append(Call(name, int(descriptor), int(result)))

    def of(self, names):
        """The calls of these names."""
        return [call for call in self.calls if call.name in names]

    def received(self):
        """Pairs of descriptor and size of received data, in order."""
        return [(call.descriptor, call.result)
                for call in self.of(RECEIVING) if call.result > 0]


    def bytes_per_turn(self, names):
        """For each turn of the event loop: bytes by descriptor."""
        turns = [collections.Counter()]
        for call in self.calls:
            if call.name in WAITING:
                turns.append(collections.Counter())
            elif call.name in names and call.result > 0:
                turns[-1][call.descriptor] += call.result
        return turns


@contextlib.contextmanager
def attached(pid, *options):
    """Attaches strace to the process within the block."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    process = subprocess.Popen(["strace", "-p", str(pid), *options],
                               stderr=subprocess.PIPE)
    try:
        wait_for_attachment(process)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(seconds(10))
        process.stderr.close()


@contextlib.contextmanager
def stopped_by_write(pid, cause):
    """Stops the process at the first write() that cause() leads to, such as the
    one that wakes another worker, until the end of the block. nginx writes a log
    line of the level info when strace attaches, so its level must be higher.
    Skips the test if strace cannot attach."""
    try:
        with tempfile.NamedTemporaryFile("r") as output, attached(
                pid, "-o", output.name, "-e", "trace=write",
                "-e", "inject=write:signal=SIGSTOP:when=1"):
            cause()
            wait_until(lambda: "stopped by SIGSTOP" in output.read(),
                       seconds(5), "the stop")
        assert state(pid) == "T"
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def traced(pid, folder, also=()):
    """Records the system calls of the worker within the block, and those named
    in `also`. Skips the test if strace cannot attach."""
    path = os.path.join(folder, f"strace-{len(os.listdir(folder))}")
    names = ",".join(sorted(RECEIVING | SENDING | WAITING | OTHERS
                            | set(also)))
    trace = Trace()
    with attached(pid, "-f", "-o", path, "-s", "1", "-e", f"trace={names}"):
        yield trace
        # The worker sleeps again, so strace has seen the end of each call.
        wait_until(lambda: state(pid) == "S", seconds(5), "a sleeping worker")
    with open(path, encoding="latin-1") as file:
        trace.load(file.read())


def wait_for_attachment(process):
    """Returns when strace is attached; skips the test if it cannot attach."""
    output = b""
    while b"attached" not in output:
        ready, _, _ = select.select([process.stderr], [], [], seconds(10))
        piece = os.read(process.stderr.fileno(), 4096) if ready else b""
        output += piece
        if not piece or b"not permitted" in output:
            pytest.skip(f"strace cannot attach here: {output.decode()!r}")
