"""The phases of a soak: a measurement, faults, convergence, and a second
measurement that is compared with the first."""

import json
import os
import signal
import time

from nginx_config import NginxConfig
from nginx_server import NginxServer, seconds, wait_until
from soak_checker import Fault
from soak_requests import send_request, get_state
from soak_scheduler import (FAULT_RATES, NORMAL_RATES, QUIET_RATES, ROOMS,
                            Scheduler)
from socket_table import open_files
from worker_probe import cpu_seconds, descriptors, memory, memory_is_exact

WORKERS = 2
MEBIBYTE = 1 << 20
KEPT_SECONDS = 15  # longer than workers keep unused buffers
SLACK = 2 * MEBIBYTE
MOST_PHASES = 6  # of growth

HTTP = """
    websocket_shared_memory 1m; websocket_room_memory 1m;
    websocket_drain 1s 1012;
    websocket_close_timeout 1s;
    websocket_ping_interval 2s;
    websocket_timeout 6s;
    websocket_send_timeout 4s;
    websocket_deflate on;
    client_header_timeout 6s;
    client_body_timeout 6s;
"""
LOCATIONS = """
    add_header X-Worker $pid always;
    location / { return 404; }
    location /echo { websocket echo; }
    location /echo-takeover {
        websocket echo;
        websocket_deflate_context_takeover on;
    }
    location /room {
        websocket room room$arg_k history=100 history_time=4s presence=on;
        websocket_send_queue 256k;
    }
    location /flood {
        websocket room flood$arg_k history=100000 history_time=4s;
        websocket_send_queue 256k drop;
    }
    location /capacity { websocket room capacity history=100000; }
    location /status { websocket_status; }
    location /publish-room { websocket_publish room room$arg_k; }
    location /publish-flood { websocket_publish room flood$arg_k; }
    location /publish-capacity {
        websocket_publish room $arg_k history=100000 history_time=2s;
    }
"""

# Each of these must have happened at least once.
EXPECTED = ["connections", "messages to followers", "messages to raw clients",
            "echoes", "published over HTTP", "resumed", "bad frames",
            "bad handshakes", "slow readers", "floods", "reloads",
            "killed workers", "closed with 1012"]

# The actions of the scheduler among them. A slow machine needs more time until
# each has happened.
ACTIONS = {"published over HTTP", "bad frames", "bad handshakes",
           "slow readers", "floods", "reloads", "killed workers"}
MORE_SECONDS = 30


class Soak:
    """One run. It compares measurements at the start and at the end."""

    fault_rates = FAULT_RATES
    normal_rates = NORMAL_RATES
    expected = EXPECTED
    actions = ACTIONS
    last_counts = 15  # seconds until all hosts have the last counts

    def __init__(self, seed, duration, folder):
        self.duration = duration
        self.folder = folder
        self.servers = []
        self.scheduler = self.create_scheduler(seed)

    def create_scheduler(self, seed):
        """Creates the scheduler with one server."""
        self.start_server()
        return Scheduler(self.servers, seed)

    def start_server(self, http="", locations=""):
        """Starts one more server."""
        self.servers.append(NginxServer(
            os.path.join(self.folder, str(len(self.servers))),
            NginxConfig(LOCATIONS + locations, workers=WORKERS,
                        http=HTTP + http, tls=True)))

    def run(self):
        self.step("measuring what a new server takes")
        at_first = self.measure()
        self.step("faults")
        self.scheduler.connect_clients(followers=24, raw=9, echoes=12)
        self.run_faults()
        self.step("no faults: all clients converge")
        self.converge()
        self.step("the same workers, for longer")
        self.check_growth(at_first["files of workers"])
        self.step("measuring again")
        self.compare(at_first, self.measure(at_first))
        for room, run in self.scheduler.runs:
            self.scheduler.checker.check_run(room, run)
        for server in self.servers:
            server.stop()
        for name in self.expected:
            if not self.scheduler.counts[name]:
                raise Fault(f"there were no {name}")

    def run_faults(self):
        """Runs for the duration, and until each action has happened."""
        self.scheduler.run_for(self.duration * 0.6, self.fault_rates)
        deadline = time.monotonic() + seconds(MORE_SECONDS)
        while time.monotonic() < deadline and not all(
                self.scheduler.counts[name] for name in self.actions):
            self.scheduler.run_for(1, self.fault_rates)

    def step(self, name):
        print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)

    def replace_workers(self):
        """Reloads nginx, and runs until only new workers are left."""
        self.scheduler.run_for(1, {})  # an earlier reload may not be complete
        old = set(self.pids())
        for server in self.servers:
            server.send_signal(signal.SIGHUP)
        self.scheduler.wait_until(
            lambda: len(self.pids()) == WORKERS * len(self.servers)
            and not old & set(self.pids()), 15,
            lambda: f"new workers, not {self.pids()}")
        # The master reports exited workers to the new ones.
        self.scheduler.run_for(1, {})

    def pids(self):
        return [pid for server in self.servers
                for pid in server.worker_pids()]

    # Growth

    def measure(self, before=None):
        """Measures files and memory with new and idle workers."""
        self.replace_workers()
        measured = {
            "files of the master": max(descriptors(server.pid)
                                       for server in self.servers),
            "files of workers": self.files_of_workers(),
            "messages that fit": self.capacity(),
        }
        self.scheduler.connect_clients(followers=12, raw=6, echoes=12)
        self.scheduler.run_for(min(3, self.duration * 0.1), QUIET_RATES)
        self.disconnect_clients(measured["files of workers"])
        measured["memory of workers"] = self.memory_of_workers(
            before["memory of workers"] + SLACK if before else None)
        measured["memory of the master"] = max(
            memory(server.pid, "Anonymous") for server in self.servers)
        return measured

    def files_of_workers(self):
        return max(map(descriptors, self.pids()))

    def disconnect_clients(self, files):
        """Disconnects all clients and waits until idle workers have so many
        files."""
        self.scheduler.disconnect_all()
        try:
            wait_until(lambda: self.files_of_workers() <= files, seconds(15),
                       f"workers with {files} files")
        except AssertionError as fault:
            raise Fault("\n".join([str(fault), *(
                f"{pid}: {open_files(pid)}" for pid in self.pids())])) from None

    def memory_of_workers(self, expected=None):
        """Waits until workers have freed unused buffers, if their memory is
        more than expected."""
        def largest():
            return max(memory(pid, "Anonymous") for pid in self.pids())

        deadline = time.monotonic() + seconds(KEPT_SECONDS)
        while expected is not None and largest() > expected \
                and time.monotonic() < deadline:
            self.scheduler.run_for(0.2, {})
        return largest()

    def capacity(self):
        """The number of messages that fit into the shared memory."""
        key, kept = f"capacity{self.scheduler.number()}", 0
        path = f"/publish-capacity?k={key}"
        wait_until(lambda: self.kept("/publish-room?k=0")
                   + self.kept("/publish-flood?k=0") == 0,
                   seconds(15), "the end of history")
        while True:
            send_request(self.servers[0], "POST", path, body=bytes(8000),
                         kind="application/octet-stream")
            now = self.kept(path)
            if now <= kept:
                break
            kept = now
        wait_until(lambda: self.kept(path) == 0, seconds(15),
                   "the end of history")
        return kept

    def kept(self, path):
        return get_state(self.servers[0], path)["messages"]

    def compare(self, before, after):
        print(f"  at first: {before}\n  at last:  {after}")
        for name in ("files of the master", "files of workers"):
            if before[name] != after[name]:
                raise Fault(f"{name}: {before[name]}, then {after[name]}")
        if after["messages that fit"] < before["messages that fit"] * 0.95:
            raise Fault("the shared memory has become smaller")
        for name in ("memory of workers", "memory of the master"):
            if memory_is_exact() and after[name] > before[name] + SLACK:
                raise Fault(f"{name} has grown")

    def check_growth(self, files):
        """Checks that the memory of running workers does not grow. The heap
        of a worker keeps free memory between blocks in use, so that it may
        grow once more. A leak makes it grow in each phase."""
        sizes = []

        def grows():
            return memory_is_exact() and sizes[-1] > sizes[-2] + SLACK

        while len(sizes) < 3 or grows() and len(sizes) < MOST_PHASES:
            self.scheduler.connect_clients(followers=24, raw=9, echoes=12)
            self.scheduler.run_for(self.duration * 0.1, self.normal_rates)
            self.disconnect_clients(files)
            sizes.append(self.memory_of_workers(
                sizes[-1] + SLACK if sizes else None))
        print(f"  memory of workers: {sizes}")
        if grows():
            raise Fault("the memory of workers grows")
        pids = self.pids()
        spent = [cpu_seconds(pid) for pid in pids]
        time.sleep(1)
        for pid, before in zip(pids, spent):
            if cpu_seconds(pid) - before > 0.1:
                raise Fault(f"worker {pid} uses the processor without clients")

    # Convergence

    def converge(self):
        """Checks that all clients reconnect without faults and get the last
        message."""
        scheduler = self.scheduler
        self.replace_workers()
        scheduler.wait_until(lambda: all(client.upgraded and not client.closed
                                         for client in scheduler.followers()),
                             15, lambda: "all followers are connected")
        for room in ROOMS:
            self.last_message(room)

    def last_message(self, room):
        path = room.replace("/", "/publish-", 1)
        data = self.scheduler.unique_text(100)
        response = send_request(self.servers[-1], "POST", path, body=data)
        if response.status != 200:
            raise Fault(f"the last message: {response!r}")
        name = json.loads(response.body)["id"]
        last = self.scheduler.checker.record(room, name, data)
        those = [client for client in self.scheduler.followers()
                 if client.room == room]
        self.scheduler.wait_until(
            lambda: all(client.follower.last == last for client in those), 10,
            lambda: f"{room}: message {last} for "
                    f"{[client.follower.last for client in those]}")
        for server in self.servers:
            self.scheduler.wait_until(
                lambda server=server: get_state(server, path)["clients"]
                == self.scheduler.guests(room), self.last_counts,
                lambda server=server: f"{room}: {self.scheduler.guests(room)} "
                f"clients, not {get_state(server, path)}")


    def abort(self):
        for server in self.servers:
            server.kill()

    def close(self):
        """Stops servers other than nginx."""
