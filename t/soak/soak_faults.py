"""Faults of a soak, one at a time: of the hosts, or of their Redis."""

import contextlib
import os
import signal
import time

from nginx_server import seconds
from soak_checker import Fault

LONGEST_END = 30  # seconds in which a fault must end


class FaultCycle:
    """Begins each of the faults of a source, in a random order.

    source: has the names in `faults`, those that come first in `first_faults`,
    and a method begin_NAME for each. It returns None if the fault is not
    possible now, or a function that ends it. If that returns True, the fault
    has not ended yet, and the function is called again.
    """

    def __init__(self, scheduler, source, counted):
        self.scheduler = scheduler
        self.source = source
        self.counted = counted
        self.next_ones = list(source.first_faults)
        self.end = None

    def inject(self):
        """Begins a fault that ends after a random time, unless there is one."""
        if self.end is not None:
            return
        random = self.scheduler.random
        if not self.next_ones:
            self.next_ones = random.sample(self.source.faults,
                                           len(self.source.faults))
        name = self.next_ones.pop(0)
        self.end = getattr(self.source, f"begin_{name}")()
        if self.end is not None:
            self.scheduler.counts[self.counted] += 1
            self.scheduler.counts[f"fault: {name}"] += 1
            self.scheduler.later(random.uniform(0.02, self.source.longest),
                                 self.clear)

    def clear(self):
        """Ends the fault, if there is one, now or later."""
        if not self.ended():
            self.scheduler.later(0.05, self.clear)

    def ended(self):
        """Ends the fault, if there is one; returns whether there is none."""
        if self.end is not None and not self.end():
            self.end = None
        return self.end is None

    def finish(self):
        """Ends the fault, and serves the clients meanwhile."""
        deadline = time.monotonic() + seconds(LONGEST_END)
        while not self.ended():
            if time.monotonic() > deadline:
                raise Fault("a fault does not end")
            self.scheduler.turn()


class HostFaults:
    """Kills and freezes hosts and their workers. Timeouts of clients are
    longer than that."""

    faults = ["kill_host", "freeze_host", "freeze_worker"]
    first_faults = ["kill_host"]
    longest = 2

    def __init__(self, scheduler):
        self.scheduler = scheduler

    def choose(self):
        return self.scheduler.random.choice(self.scheduler.running)

    def begin_kill_host(self):
        """All processes of a host die. Clients connect to another one until it
        runs again."""
        server = self.choose()
        running = self.scheduler.running
        running.remove(server)
        server.send_signal(signal.SIGSTOP)  # starts no other worker
        for pid in server.worker_pids():
            self.scheduler.killed[pid] = time.monotonic()
        server.kill()

        def end():
            server.start_again()
            running.append(server)
        return end

    def begin_freeze_host(self):
        server = self.choose()
        return self.freeze([server.pid, *server.worker_pids()])

    def begin_freeze_worker(self):
        """If it leads its host, another worker does so instead."""
        pids = self.choose().worker_pids()
        return self.freeze([self.scheduler.random.choice(pids)]) \
            if pids else None

    @staticmethod
    def freeze(pids):
        """A worker may be killed meanwhile."""
        def send(number):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        send(signal.SIGSTOP)
        return lambda: send(signal.SIGCONT)
