"""websocket_status while workers start, exit and are killed, and with many
resources."""

import os
import signal

import pytest

import publish_client
from nginx_server import seconds
from raw_client import ConnectionWasReset, EndOfStream
from room_client import join
from status_reader import (assert_not_decreased, report_of, request,
                           resource_with, wait_for_report, worker_with)
from worker_picking import (REUSEPORT, connect_to, on_each_worker,
                            wait_for_other_worker)
from worker_probe import stopped

LOCATIONS = """
location = /status { websocket_status; }
location /echo { websocket echo; }
location ~ ^/room/(?<name>.+)$ { websocket room $name; }
"""


@pytest.fixture
def start(nginx):
    """Starts a server whose connections spread over its workers."""
    def started(workers=2, locations="", **options):
        return nginx(LOCATIONS + locations, workers=workers,
                     http="keepalive_requests 1000000;", **REUSEPORT,
                     **options)
    return started


def talk(client, count=1):
    for _ in range(count):
        client.text("some text")
        client.expect_text("some text")


def wait_for_states(server, **expected):
    """Waits for a report with so many workers of each state; returns it."""
    def states_are(report):
        states = [worker["state"] for worker in report["workers"]]
        return all(states.count(state) == count
                   for state, count in expected.items())
    return wait_for_report(server, states_are, str(expected))


def test_counts_go_on_over_a_reload(start):
    server = start()
    for client in on_each_worker(server, "/echo"):
        talk(client, 5)
        client.leave(4000)
    assert server.request(request("/echo")).status == 426
    server.release_clients()
    before = report_of(server)
    old = server.reload()
    server.wait_for_workers_gone(old)
    after = wait_for_states(server, serving=2)
    assert_not_decreased(before, after)
    assert after["total"] == {**before["total"], "clients": 0}
    assert after["uptime"] >= before["uptime"]
    for worker in after["workers"]:
        assert worker["pid"] not in old
        assert worker["messages_in"] == worker["clients"] == 0
        assert worker["close_codes"] == {}
        assert worker["handshakes"] == {"accepted": 0, "refused": {}}
    talk(server.connect(), 2)
    total = report_of(server)["total"]
    assert total["messages_in"] == before["total"]["messages_in"] + 2
    assert total["clients"] == 1


def test_old_workers_are_listed_as_draining(start):
    server = start(locations="websocket_close_timeout 60s;")
    pids = server.worker_pids()
    for client in on_each_worker(server, "/echo"):
        client.text("some text")
    server.send_signal(signal.SIGHUP)
    report = wait_for_states(server, draining=2, serving=2)
    for worker in report["workers"]:
        assert (worker["state"] == "draining") == (worker["pid"] in pids)
        assert worker["clients"] == (worker["pid"] in pids)
    assert report["total"]["clients"] == 2
    assert report["total"]["messages_in"] == 2
    wait_for_report(
        server, lambda report: report["total"]["close_codes"].get("1001") == 2,
        "both closed")
    server.release_clients()
    server.wait_for_workers_gone(pids)
    report = wait_for_states(server, draining=0, serving=2)
    assert report["total"]["clients"] == 0
    assert report["total"]["messages_in"] == 2


def test_killed_worker_is_not_listed_and_its_counts_stay(start):
    server = start()
    pid, other = sorted(server.worker_pids())
    for victim, survivor in ((pid, other), (None, other)):
        victim = victim or [pid for pid in server.worker_pids()
                            if pid != other][0]
        for _ in range(3):
            talk(connect_to(server, victim, "/echo"), 4)
        alive = connect_to(server, survivor, "/echo")
        talk(alive)
        before = wait_for_report(
            server, lambda report: report["total"]["clients"] >= 4, "clients")
        os.kill(victim, signal.SIGKILL)
        wait_for_other_worker(server, victim, 2)
        after = wait_for_states(server, serving=2)
        assert_not_decreased(before, after)
        assert worker_with(after, victim) is None
        assert after["total"]["messages_in"] == before["total"]["messages_in"]
        lost = worker_with(before, victim)["clients"]
        assert lost >= 3
        assert (after["total"]["clients"]
                == before["total"]["clients"] - lost)
        fresh = [worker for worker in after["workers"]
                 if worker["pid"] != survivor]
        assert [worker["messages_in"] for worker in fresh] == [0]
    server.allow_errors("signal 9")


def test_total_never_goes_down(start):
    """The total of any worker does not decrease over reloads and killed
    workers."""
    server = start(workers=3)
    last = report_of(server)
    for step in range(6):
        client = server.connect()
        talk(client, 3)
        client.leave(3000 + step)
        client.disconnect()
        if step % 3 == 1:
            server.wait_for_workers_gone(server.reload())
        elif step % 3 == 2:
            victim = server.serving_pid()
            os.kill(victim, signal.SIGKILL)
            wait_for_other_worker(server, victim, 3)
        for _ in range(10):
            report = report_of(server)
            assert_not_decreased(last, report)
            last = report
    assert last["total"]["messages_in"] == 18
    assert len(last["total"]["close_codes"]) == 6
    server.allow_errors("signal 9")


def test_stopped_worker_holds_up_no_answer(start):
    server = start()
    for pid in server.worker_pids():
        client = connect_to(server, pid, "/echo")
        talk(client)
    stuck, answering = sorted(server.worker_pids())
    reader = publish_client.Publisher(server, "/status")
    while True:
        if int(reader.ask("GET").header("X-Worker")) == answering:
            break
        reader = publish_client.Publisher(server, "/status")
    with stopped(stuck):
        report = publish_client.answer_of(reader.ask("GET"))
    assert worker_with(report, stuck)["messages_in"] == 1
    assert report["total"]["clients"] >= 2


def test_new_memory_resets_the_counters(nginx):
    server = nginx(LOCATIONS, http="websocket_shared_memory 1m;")
    talk(server.connect(), 3)
    before = report_of(server)
    path = os.path.join(server.prefix, "nginx.conf")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("memory 1m", "memory 2m"))
    old = server.reload()
    after = report_of(server)
    assert after["total"]["messages_in"] == 0
    assert after["zone"]["size"] > before["zone"]["size"]
    assert not [pid for pid in old if worker_with(after, pid)]
    server.release_clients()
    server.wait_for_workers_gone(old)


# Many resources

MANY = 5000
PUBLISH = "location = /publish { websocket_publish room $arg_room; }"


def fill_rooms(server, count):
    """Creates so many resources without clients."""
    sender = server.open()
    for start_at in range(0, count, 500):
        numbers = range(start_at, min(count, start_at + 500))
        sender.send(b"".join(
            publish_client.post("x", f"/publish?room=room-{number:06d}")
            for number in numbers))
        for _ in numbers:
            assert sender.read_response().status == 200


def test_first_hundred_of_many_resources(start):
    server = start(locations=PUBLISH)
    fill_rooms(server, MANY)
    expected = {f"room-{number:06d}": 1 + number // 2000
                for number in (0, 1, 17, 999, 2500, 4999)}
    for name, clients in expected.items():
        for _ in range(clients):
            join(server, f"/room/{name}")
    wanted = sum(expected.values())
    report = wait_for_report(
        server, lambda report: report["total"]["clients"] == wanted, "clients")
    resources = report["resources"]
    assert len(resources) == 100
    assert report["zone"]["logs"] == MANY
    assert {each["key"]: each["clients"]
            for each in resources if each["clients"]} == expected
    order = [(-each["clients"], -each["messages"], each["key"])
             for each in resources]
    assert order == sorted(order)
    assert resource_with(report, "room-004999")["clients"] == 3
    assert report["handlers"][1] == {"name": "room", "clients": wanted}


@pytest.mark.parametrize("last", ["", "?format=prometheus"])
def test_clients_that_leave_during_a_report(start, last):
    """The response takes several turns of the event loop. Its client may close
    the connection meanwhile."""
    server = start(locations=PUBLISH, workers=1)
    fill_rooms(server, MANY)
    for _ in range(20):
        for _ in range(5):
            client = server.open()
            client.send(request("/status" + last))
            client.abort()
        assert server.request(request("/status" + last),
                              ).status == 200


def test_worker_that_exits_during_reports(start):
    server = start(locations=PUBLISH)
    fill_rooms(server, MANY)
    asking = [server.open() for _ in range(50)]
    for client in asking:
        client.send(request("/status"))
    assert asking.pop(0).read_response().status == 200
    server.send_signal(signal.SIGQUIT)
    for client in asking:
        try:
            assert client.read_response().status == 200
        except (EndOfStream, ConnectionWasReset):  # not accepted
            assert not client.buffer
    server.wait_for_exit(seconds(10))
