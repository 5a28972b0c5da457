"""What the kernel tells of a worker: its memory, CPU time, descriptors."""

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
    """False where a sanitizer or valgrind keeps what was freed."""
    return not (os.environ.get("WEBSOCKET_PRELOAD")
                or os.environ.get("WEBSOCKET_RUNNER"))


def assert_no_growth(sizes, slack):
    """Memory after each of several like rounds: the first may have filled
    what the worker keeps for reuse, the later ones have nothing to add."""
    if memory_is_exact():
        assert sizes[-1] - sizes[1] < slack, sizes


def cpu_seconds(pid):
    """CPU time that the process has used, to the nanosecond."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def descriptors(pid):
    """How many files and sockets the process holds."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def state(pid):
    """The letter of the process state: R, S, T or t when traced, Z."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def stopped(pid):
    """The process does nothing within the block: what reaches its sockets
    meanwhile it finds there all at once."""
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
