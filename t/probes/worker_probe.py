"""Reads a worker's memory, CPU time and descriptors from /proc."""

import contextlib
import os
import signal

from nginx_server import seconds, wait_until


def memory(pid, field="Rss"):
    """Bytes of resident memory, or of another line of smaps_rollup."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field} for process {pid}")


def memory_is_exact():
    """False under a sanitizer or valgrind, which keep freed memory."""
    return not (os.environ.get("WEBSOCKET_PRELOAD")
                or os.environ.get("WEBSOCKET_RUNNER"))


def assert_no_growth(sizes, slack):
    """Checks the memory after each of several equal rounds. The first round
    may fill caches of the worker; later rounds must not add to them."""
    if memory_is_exact():
        assert sizes[-1] - sizes[1] < slack, sizes


def cpu_seconds(pid):
    """CPU time that the process has used, to the nanosecond."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def descriptors(pid):
    """The number of the process's open files and sockets."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def state(pid):
    """The letter of the process state: R, S, Z, or T or t if stopped."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def stopped(pid):
    """Stops the process within the block. Afterwards it reads in one turn all
    data that arrived meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: state(pid) in "Tt", seconds(5), "the stop")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def only_worker(server):
    """The pid of the one worker of a server."""
    pids = server.worker_pids()
    assert len(pids) == 1, pids
    return pids[0]
