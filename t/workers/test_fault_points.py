"""Workers that are killed between two stores to the shared memory.

`make test` builds the module for these tests with its fault points.
"""

import itertools
import os
import re
import subprocess

import pytest

import handler_log
from nginx_server import ROOT, faulty_module_file, seconds, wait_until
from worker_picking import REUSEPORT, connect_to, worker_of
from worker_probe import stopped


# Fault points that no worker reaches here. Unit tests of the broker do.
ELSEWHERE = {
    "lock.left", "log.left", "entry.skipped", "log.removed", "log.limited",
    "slot.renewed", "slot.emptied", "slot.written", "unread.half_out",
    "leader.dated", "leader.taken", "leader.resigned", "external.left_out",
    "gap.recorded", "gap.noted", "blocks.unreserved", "entry.cleared",
    "entry.over_limit", "history.step", "read.piece", "member.seats",
    "member.seated", "member.discounted", "member.announced",
}

PREFIXES_ELSEWHERE = ("repair.", "note.")

# Fault points that a leader reaches for each new resource.
WITH_REDIS = ["position.left", "position.numbered", "position.entered",
              "position.done", "cursor.left", "cursor.numbered",
              "cursor.entered"]


def names():
    """The fault points that a worker without Redis reaches, except those
    inside a repair, and those of notes: see
    t/backend/test_backend_faults.py."""
    found = subprocess.run(
        ["grep", "-rhoP", r'FAULT_POINT\("\K[^"]+', "src/broker"], cwd=ROOT,
        check=True, capture_output=True, text=True).stdout.split()
    return sorted(name for name in set(found) - ELSEWHERE - set(WITH_REDIS)
                  if not name.startswith(PREFIXES_ELSEWHERE))


@pytest.mark.parametrize("name", names())
def test_worker_killed_at(nginx, name):
    kill_workers_at(name, nginx)


# The fixture `redis` comes first, so that Redis starts before nginx and ends
# later.
@pytest.mark.parametrize("name", WITH_REDIS)
def test_leader_killed_at(redis, nginx, name):
    kill_workers_at(name, nginx, f"websocket_redis {redis.url()};")


def test_lock_of_a_dead_worker_is_freed_while_the_master_is_stopped(nginx):
    """The dead worker is a zombie until the master waits for it."""
    server = start(nginx, "lock.taken", 400)
    server.allow_errors(r"exited on signal 9|zone \"\w+\" was locked")
    first, second = sorted(server.worker_pids())
    victim = connect_to(server, first, "/room")
    survivor = connect_to(server, second, "/room")
    with stopped(server.pid):
        with pytest.raises((AssertionError, OSError)):
            while True:
                victim.text("all x")
                victim.read_frame()
        survivor.text("all heard")
        while survivor.read_frame().payload != b"heard":
            pass
    victim.disconnect()


def start(nginx, name, passes, http=""):
    return nginx(
        "location /room { websocket probe room$arg_k; }", workers=2,
        module=False,
        http=handler_log.plugin() + "websocket_shared_memory 512k;"
                              "websocket_room_memory 512k;" + http,
        main=f"load_module {faulty_module_file()};"
             f" env WEBSOCKET_DIE_AT={name}:{passes};",
        **REUSEPORT)


def kill_workers_at(name, nginx, http=""):
    passes = {"lock": 400, "cursor": 3}.get(name.partition(".")[0], 40)
    server = start(nginx, name, passes, http)
    server.allow_errors(r"exited on signal 9|zone \"\w+\" was locked")
    work_until_two_have_died(server)
    check_workers_serve(server)


def deaths(server):
    return len(re.findall("exited on signal 9", server.log()))


def work_until_two_have_died(server):
    """Connects clients, publishes and disconnects until two workers were
    killed. Clients of a killed worker are replaced."""
    rooms = itertools.count()

    def worked():
        clients = []
        try:
            clients = [server.connect("/room") for _ in range(3)]
            number = next(rooms)
            clients.append(server.connect(f"/room?k={number}"))
            for client in clients:
                client.text("all " + "x" * (300 if number % 2 else 5000))
                client.read_frame()
        except (AssertionError, OSError):
            pass
        for client in clients:
            client.disconnect()
        return deaths(server) >= 2
    wait_until(worked, seconds(40), "two dead workers")


def check_workers_serve(server):
    """Waits until clients on two workers get a message and the right count. A
    new worker dies at the fault point too, so each attempt does little and may
    fail."""
    def well():
        clients = []
        try:
            while len({worker_of(client) for client in clients}) < 2:
                clients.append(server.connect("/room?k=after"))
            clients[0].text("all heard")
            for client in clients:
                client.expect_text("heard")
            for client in clients:
                client.text("ask count")
                if client.read_frame().payload != str(len(clients)).encode():
                    return False
            return True
        except (AssertionError, OSError):
            return False
        finally:
            for client in clients:
                client.disconnect()
    wait_until(well, seconds(20), "messages on two workers")
