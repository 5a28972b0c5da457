"""Connects clients to workers that the test chooses.

`nginx(..., workers=2, **REUSEPORT)` lets the kernel spread connections over
the workers, and each response names its worker.
"""

import wire
from nginx_server import seconds, wait_until

REUSEPORT = {"listen": "reuseport",
             "server": "add_header X-Worker $pid always;"}


def worker_of(client):
    """The pid of the worker that serves a client."""
    return int(client.response.header("X-Worker"))


def leave(client):
    """Closes a client and waits for the end, so that it is no longer
    counted."""
    client.close(1000)
    while client.read_frame().opcode != wire.CLOSE:
        pass
    client.expect_eof()
    client.disconnect()


def connect_to(server, pid, path, **options):
    """Connects until a client is on this worker; closes the others."""
    for _ in range(1000):
        client = server.connect(path, **options)
        if worker_of(client) == pid:
            return client
        leave(client)
    raise AssertionError(f"worker {pid} gets no connection")


def on_each_worker(server, path, **options):
    """Connects a client to each worker, in the order of pids."""
    return [connect_to(server, pid, path, **options)
            for pid in sorted(server.worker_pids())]


def wait_for_other_worker(server, dead, count):
    """Waits until `count` workers run without the dead one."""
    def replaced():
        pids = server.worker_pids()
        return len(pids) == count and dead not in pids and pids
    return wait_until(replaced, seconds(10), "a new worker")
