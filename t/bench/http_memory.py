"""Runs a million events of `websocket http`, with both values of
websocket_request, and prints the memory of the worker after each tenth.

Connections send messages through a keepalive upstream, and clients come and go.
Memory that grows makes it fail.
"""

import contextlib
import os

from http_bench import (CONNECTIONS, HTTP, LOCATIONS, EventClients,
                        bench_servers)
from run_tests import allow_open_files
from worker_probe import memory

EVENTS = int(os.environ.get("BENCH_EVENTS", 1000000))
STEPS = 10
VISITS = 20  # connects and disconnects of all clients in a step
SLACK = 256 * 1024
SIZE = 200
BACKEND = """location / {
    if ($http_websocket_event != message) { return 204; }
    return 200 "thanks"; }"""


def run_step(server, count):
    """A part of the events: connects, messages and disconnects."""
    for _ in range(VISITS):
        clients = EventClients(server.port, SIZE)
        clients.run(count // VISITS - 2 * CONNECTIONS)
        clients.close()


def measure(policy, backend):
    """Prints and returns the memory after each step, in KB."""
    server = bench_servers.start_own(
        1, name=f"http-{policy}", http=HTTP % backend.port,
        locations=f"websocket_request {policy};"
        + LOCATIONS.replace(" events=message", ""))
    found = []
    try:
        pid, = server.worker_pids()
        for _ in range(STEPS):
            run_step(server, EVENTS // STEPS)
            found.append(memory(pid, "Anonymous") // 1024)
    finally:
        server.stop()
    print(f"{policy}: {EVENTS:,} events, KB after each tenth: {found}",
          flush=True)
    return found


def main():
    allow_open_files()
    os.makedirs(bench_servers.FOLDER, exist_ok=True)
    with contextlib.ExitStack() as stack:
        backend = bench_servers.start_plain(
            "http-backend", {"locations": BACKEND, "module": False})
        stack.callback(backend.stop)
        for policy in ("keep", "release"):
            found = measure(policy, backend)
            assert found[-1] - found[1] < SLACK // 1024, "memory grows"


if __name__ == "__main__":
    main()
