"""examples/load: slow readers skip samples, no samples are taken without
clients, and read errors of /proc are reported."""

import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest

import wire
from load_client import LOADED, LOCATIONS, Viewer, start, watch
from tuned_client import TIGHT_LISTEN, connect_tight, send_until_refused
from worker_probe import only_worker


@pytest.fixture
def server(nginx):
    return nginx(LOCATIONS, listen=TIGHT_LISTEN, **LOADED)


# Slow readers

def test_client_that_reads_slowly_is_skipped_not_queued_for(server):
    slow = Viewer(connect_tight(server, "/quick"))
    requests = wire.text("what?") * 20000
    sent = send_until_refused(slow.client, requests)
    assert sent < len(requests), "nginx did not stop reading"
    other = watch(server)
    other.samples(3)
    window = other.samples(8)
    frame = len(wire.text("what?"))
    slow.client.send(requests[sent:sent + -sent % frame])
    slow.client.text("resume")
    messages = [slow.message(), slow.message()]
    while not (any(message["type"] == "settings" for message in messages[2:])
               and any(message.get("skipped") for message in messages)):
        messages.append(slow.message())
    errors = sum(message["type"] == "error" for message in messages)
    assert errors == -(-sent // frame)
    samples = [message for message in messages if message["type"] == "sample"]
    assert not [sample for sample in samples if window[0]["time"]
                < sample["time"] < window[-1]["time"]], "skipped ones came"
    late = next(sample for sample in samples if sample["skipped"])
    assert late["skipped"] >= len(window)
    assert start(late) <= window[0]["time"], "its period is too short"
    assert slow.next("sample")["skipped"] == 0
    slow.client.disconnect()
    entry = server.wait_for_access_log(uri="/quick")
    assert entry["websocket_dropped"] == "0"


# Costs

def bytes_read(pid):
    """The bytes that the process and its threads have read from files so
    far."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(file.readline().split()[1])


def times_woken(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file
                    if line.startswith("voluntary_ctxt_switches"))


@pytest.mark.parametrize("end", ["leave", "pause", "abort"])
def test_nothing_is_sampled_without_clients(server, nginx, end):
    clock = watch(nginx(LOCATIONS, **LOADED))
    viewer = watch(server)
    viewer.samples(2)
    server.wait_for_log('system_load "/quick".*somebody watches')
    assert "nobody watches" not in server.log()
    if end == "pause":
        viewer.ask("pause")
    elif end == "leave":
        viewer.client.disconnect()
    else:
        viewer.client.abort()
    server.wait_for_log('system_load "/quick".*nobody watches')
    clock.samples(3)
    pid = only_worker(server)
    before = bytes_read(pid), times_woken(pid)
    clock.samples(15)
    assert bytes_read(pid) == before[0]
    # nginx itself wakes up once a second
    assert times_woken(pid) - before[1] < 5
    if end == "pause":
        viewer.ask("resume")
    else:
        viewer = watch(server)
    viewer.samples(2)
    assert bytes_read(pid) > before[0]


def test_many_clients_share_the_readings(server):
    viewers = [watch(server) for _ in range(50)]
    for viewer in viewers:
        viewer.ask("interval 200")
    latest = viewers[0].samples(3)[-1]["time"]
    for viewer in viewers[1:]:
        viewer.sample_until(lambda now: now["time"] == latest, 10)


# Faults

@pytest.fixture
def interface():
    """A network interface, and a function that removes it."""
    name = f"t{os.getpid()}"
    ip = shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin:/sbin")

    def link(*words):
        return ip and subprocess.run([ip, "link", *words], check=False,
                                     stderr=subprocess.DEVNULL).returncode == 0

    def add():
        return link("add", name, "type", "veth", "peer", "name", f"{name}p")

    if not add():
        pytest.skip("no network interface can be made here")
    yield SimpleNamespace(name=name, add=add,
                          remove=lambda: link("del", name))
    link("del", name)


def test_missing_interface_is_reported_once_and_may_return(nginx, interface):
    server = nginx("location = /quick { websocket system_load interval=100 "
                   f"network={interface.name}; }}", **LOADED)
    server.allow_errors("there is no network interface")
    viewer = watch(server)
    viewer.samples(2)
    assert interface.remove()
    error = viewer.next("error")
    assert error["message"] == ("The load of this machine cannot be read just "
                                "now.")
    viewer.client.expect_alive()
    assert interface.add()
    server.wait_for_log("the load can be read again")
    viewer.samples(2)
    assert server.log().count("there is no network interface") == 1
