"""The Prometheus text of websocket_status, read by Prometheus's parser."""

import os
import signal

import pytest

import wire
from prometheus_text import families_of, samples_of, text_of
from status_reader import report_of, wait_for_report
from worker_picking import REUSEPORT, on_each_worker, wait_for_other_worker

LOCATIONS = """
location = /status { websocket_status prometheus; }
location /echo { websocket echo; }
location ~ (?s)^/room/(?<name>.+)$ { websocket room $name history=9; }
"""
TYPES = {
    "build_info": "gauge", "start_time_seconds": "gauge", "workers": "gauge",
    "clients": "gauge", "handler_clients": "gauge", "messages": "counter",
    "payload_bytes": "counter", "dropped_messages": "counter",
    "slow_closes": "counter", "losses": "counter", "published": "counter",
    "handshakes": "counter", "closes": "counter", "zone_size_bytes": "gauge",
    "zone_used_bytes": "gauge", "zone_logs": "gauge",
    "zone_subscriptions": "gauge", "zone_entries": "gauge",
    "zone_dropped_unread": "counter", "zone_dropped_history": "counter",
    "zone_dropped_room_memory": "counter",
    "zone_refused": "counter", "zone_repairs": "counter",
}


def samples(server):
    """The samples that a worker returns."""
    return samples_of(families_of(text_of(server)))


def total(found, name, **labels):
    """The sum over all workers."""
    return sum(value for (known, pairs), value in found.items()
               if known == name and labels.items() <= dict(pairs).items())


@pytest.fixture(name="server", scope="module")
def server_fixture(module_nginx):
    return module_nginx(LOCATIONS, workers=2, **REUSEPORT)


def test_text_is_what_a_scraper_expects(server):
    families = families_of(text_of(server))
    assert {name: family.type for name, family in families.items()} == TYPES
    for name, family in families.items():
        assert family.documentation.endswith("."), name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (
                family.type == "counter"), sample


def test_lines_are_grouped_by_metric(server):
    """HELP and TYPE stand once, before all samples of the metric. Prometheus's
    parser does not check this."""
    names = []
    for line in text_of(server).splitlines():
        assert line == line.strip() and line
        fields = line.split(" ")
        if fields[0] == "#":
            assert fields[1] in ("HELP", "TYPE")
            if fields[1] == "HELP":
                names.append(fields[2])
            assert fields[2] == names[-1]
        else:
            assert fields[0].partition("{")[0] == names[-1]
    assert len(names) == len(set(names)) == len(TYPES)


def test_values_are_those_of_the_json(nginx):
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    for client in on_each_worker(server, "/echo"):
        client.text("12345")
        client.expect_text("12345")
        client.leave(4000)
        client.disconnect()
    server.connect("/room/a")
    server.request(wire.upgrade_request(websocket_version="12"))
    report = wait_for_report(
        server, lambda report: report["total"]["clients"] == 1, "one client",
        "/status?format=json")
    found = samples(server)
    counts = report["total"]
    for name, labels, value in [
            ("messages_total", {"direction": "in"}, counts["messages_in"]),
            ("messages_total", {"direction": "out"}, counts["messages_out"]),
            ("payload_bytes_total", {"direction": "in"}, 10),
            ("payload_bytes_total", {"direction": "out"}, 10),
            ("clients", {}, 1), ("handler_clients", {"handler": "room"}, 1),
            ("handler_clients", {"handler": "echo"}, 0),
            ("workers", {"state": "serving"}, 2),
            ("workers", {"state": "draining"}, 0),
            ("handshakes_total", {"status": "101"},
             counts["handshakes"]["accepted"]),
            ("handshakes_total", {"status": "426"}, 1),
            ("closes_total", {"code": "4000"}, 2),
            ("zone_size_bytes", {}, report["zone"]["size"]),
            ("zone_used_bytes", {}, report["zone"]["used"]),
            ("build_info", {"version": report["version"]}, 1)]:
        assert total(found, name, **labels) == value, (name, labels)
    for worker in report["workers"]:
        assert total(found, "messages_total", worker=str(worker["slot"]),
                     direction="in") == worker["messages_in"] == 1
    began = total(found, "start_time_seconds")
    assert abs(report["time"] / 1000 - report["uptime"] - began) <= 1.001


def test_names_of_resources_are_no_labels(server):
    """Clients may choose these names. As labels, each would remain as a
    series."""
    before = text_of(server).count("\n")
    for number in range(20):
        server.connect(f"/room/%22%0a%5c{number}")
    wait_for_report(server, lambda report: report["total"]["clients"] == 20,
                    "clients", "/status?format=json")
    after = text_of(server)
    families_of(after)
    assert "room-" not in after and after.count("\n") <= before + 2


def test_counters_never_go_down(nginx):
    """Counters survive a reload, a killed worker, and new workers in its
    slot."""
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    last = samples(server)
    types = {key for key in last if key[0].endswith("_total")}

    def check():
        nonlocal last
        found = samples(server)
        for key, value in last.items():
            if key[0].endswith("_total"):
                assert found[key] >= value, key
        last = found

    for step in range(4):
        for client in on_each_worker(server, "/echo"):
            client.text("x")
            client.expect_text("x")
            client.leave(4000 + step)
            client.disconnect()
        check()
        if step == 1:
            server.wait_for_workers_gone(server.reload())
        elif step == 2:
            victim = server.serving_pid()
            os.kill(victim, signal.SIGKILL)
            wait_for_other_worker(server, victim, 2)
        check()
    assert types <= set(last)
    assert total(last, "messages_total", direction="in") == 8
    assert report_of(server, "/status?format=json")[
        "total"]["messages_in"] == 8
    server.allow_errors("signal 9")
