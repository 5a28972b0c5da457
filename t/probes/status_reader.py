"""Reads and checks the report of a location with `websocket_status`."""

import json

from nginx_server import seconds, wait_until

COUNTS = {"clients", "messages_in", "messages_out", "bytes_in", "bytes_out",
          "dropped", "slow_closes", "lost", "published"}
MEMBERS = COUNTS | {"handshakes", "close_codes"}
ZONE = {"size", "used", "logs", "subscriptions", "entries", "dropped_unread",
        "dropped_history", "dropped_room_memory", "refused", "repairs"}


def request(path="/status", method="GET", headers=""):
    """The bytes of a request."""
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}"
            "Connection: close\r\n\r\n").encode()


def is_count(value):
    """Whether it is an integer, not a boolean, and not negative."""
    return type(value) is int and value >= 0


def check_counters(counters):
    """Checks the members that a worker and the total have in common."""
    for name in COUNTS:
        assert is_count(counters[name]), (name, counters)
    assert set(counters["handshakes"]) == {"accepted", "refused"}
    assert is_count(counters["handshakes"]["accepted"])
    for codes, least, most in ((counters["handshakes"]["refused"], 400, 599),
                               (counters["close_codes"], 1000, 4999)):
        assert all(code == "other" or least <= int(code) <= most
                   for code in codes), codes
        assert all(is_count(count) and count > 0
                   for count in codes.values()), codes


def check_report(report):
    """The object has the members that README.md names and no others. With
    `websocket_redis` it has one more, see test_redis_counters.py, and with
    `websocket http` another one, see test_backend_figures.py."""
    assert set(report) - {"redis", "http"} == {
        "version", "time", "uptime", "workers", "total", "handlers", "zone",
        "resources"}
    assert isinstance(report["version"], str)
    assert is_count(report["time"]) and is_count(report["uptime"])
    for worker in report["workers"]:
        assert set(worker) == MEMBERS | {"slot", "pid", "state"}
        assert is_count(worker["slot"]) and worker["pid"] > 1
        assert worker["state"] in ("serving", "draining")
        check_counters(worker)
    assert set(report["total"]) == MEMBERS
    check_counters(report["total"])
    assert set(report["zone"]) == ZONE
    assert all(map(is_count, report["zone"].values()))
    for handler in report["handlers"]:
        assert set(handler) - {"users"} == {"name", "clients"}
        assert is_count(handler["clients"])
    assert len(report["resources"]) <= 100
    for resource in report["resources"]:
        assert set(resource) == {"handler", "key", "clients", "messages",
                                 "last"}
        assert is_count(resource["clients"])
        assert is_count(resource["messages"])


def report_of(server, path="/status"):
    """The JSON object that a worker answers with."""
    response = server.request(request(path))
    assert response.status == 200, repr(response)
    assert response.header("Content-Type") == "application/json"
    assert response.header("Cache-Control") == "no-store"
    report = json.loads(response.body.decode())
    check_report(report)
    return report


def wait_for_report(server, condition, what, path="/status"):
    """Waits for a report for which the condition holds; returns it."""
    def asked():
        report = report_of(server, path)
        return report if condition(report) else None
    return wait_until(asked, seconds(10), what)


def worker_with(report, pid):
    """The entry of one worker, or None."""
    found = [worker for worker in report["workers"] if worker["pid"] == pid]
    assert len(found) < 2, found
    return found[0] if found else None


def resource_with(report, key):
    """The entry of the resource with this key, or None."""
    found = [each for each in report["resources"] if each["key"] == key]
    assert len(found) < 2, found
    return found[0] if found else None


def assert_not_decreased(before, after):
    """Fails if a total has decreased."""
    old, new = before["total"], after["total"]
    for name in COUNTS - {"clients"}:
        assert new[name] >= old[name], name
    assert new["handshakes"]["accepted"] >= old["handshakes"]["accepted"]
    for codes_of in (lambda total: total["handshakes"]["refused"],
                     lambda total: total["close_codes"]):
        for code, count in codes_of(old).items():
            assert codes_of(new).get(code, 0) >= count, code
