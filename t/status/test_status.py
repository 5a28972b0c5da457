"""The counters of websocket_status in JSON."""

import json
import re

import pytest

import handler_log
import publish_client
import wire
from raw_client import HttpResponse
from room_client import join, read_type, send_text
from status_reader import (report_of, request, resource_with, wait_for_report,
                           worker_with)
from tuned_client import (TIGHT_LISTEN, connect_tight, framed, numbered,
                          open_tuned)
from worker_picking import REUSEPORT, connect_to, on_each_worker, worker_of
from worker_probe import only_worker, stopped

STATUS = "location = /status { websocket_status; }\n"
ECHO = "location /echo { websocket echo; }\n"
ROOM = ("location ~ (?s)^/room/(?<name>.+)$ "
        "{ websocket room $name history=9; }\n")


def totals(server):
    """The sum over all workers."""
    return report_of(server)["total"]


def wait_for_clients(server, count):
    """Waits for a report with so many clients; returns it."""
    return wait_for_report(server,
                           lambda report: report["total"]["clients"] == count,
                           f"{count} clients")


def test_fresh_server_has_counted_nothing(nginx):
    report = wait_for_report(nginx(STATUS + ECHO, workers=2),
                             lambda report: len(report["workers"]) == 2,
                             "both workers")
    assert report["total"] == {
        "clients": 0, "messages_in": 0, "messages_out": 0, "bytes_in": 0,
        "bytes_out": 0, "dropped": 0, "slow_closes": 0, "lost": 0,
        "published": 0, "handshakes": {"accepted": 0, "refused": {}},
        "close_codes": {}}
    assert [worker["slot"] for worker in report["workers"]] == [0, 1]
    assert {worker["state"] for worker in report["workers"]} == {"serving"}
    assert report["handlers"] == [{"name": "echo", "clients": 0},
                                  {"name": "room", "clients": 0},
                                  {"name": "rooms", "clients": 0},
                                  {"name": "http", "clients": 0}]
    assert report["resources"] == []
    assert report["zone"]["used"] == 0 < report["zone"]["size"]
    assert report["uptime"] < 60


def test_workers_and_total_after_known_traffic(nginx):
    server = nginx(STATUS + ECHO, workers=2, **REUSEPORT)
    pids = sorted(server.worker_pids())
    for index, pid in enumerate(pids):
        client = connect_to(server, pid, "/echo")
        for _ in range(3 + index):
            client.text("häuser")  # 7 bytes
            client.expect_text("häuser")
        client.send([wire.ping("no message"),
                     wire.fragments(wire.BINARY, b"ab", b"", b"c")])
        client.expect_pong("no message")
        client.expect_binary(b"abc")
    found = {}
    for _ in range(20):  # any worker answers
        report = report_of(server)
        assert {worker["pid"] for worker in report["workers"]} == set(pids)
        for index, pid in enumerate(pids):
            worker = worker_with(report, pid)
            for way in ("in", "out"):
                assert worker[f"messages_{way}"] == 4 + index
                assert worker[f"bytes_{way}"] == 7 * (3 + index) + 3
            found[pid] = worker
        assert report["total"]["messages_in"] == 9
        assert report["total"]["bytes_out"] == 55
    server.release_clients()
    report = wait_for_clients(server, 0)
    accepted = [worker_with(report, pid)["handshakes"]["accepted"]
                for pid in pids]
    assert sum(accepted) == report["total"]["handshakes"]["accepted"] >= 2


def test_clients_are_those_of_each_worker(nginx):
    server = nginx(STATUS + ECHO, workers=2, **REUSEPORT)
    clients = [*on_each_worker(server, "/echo"),
               *on_each_worker(server, "/echo")]
    report = wait_for_clients(server, 4)
    assert [worker["clients"] for worker in report["workers"]] == [2, 2]
    assert report["handlers"][0] == {"name": "echo", "clients": 4}
    assert resource_with(report, "/echo")["clients"] == 4
    left = worker_of(clients[0])
    clients[0].leave()
    clients[0].disconnect()
    report = wait_for_clients(server, 3)
    assert worker_with(report, left)["clients"] == 1


@pytest.mark.parametrize("end, code", [
    (lambda client: client.leave(1000), "1000"),
    (lambda client: client.leave(4321), "4321"),
    (lambda client: client.leave(None), "1005"),
    (lambda client: client.abort(), "1006"),
    (lambda client: client.disconnect(), "1006"),
    (lambda client: client.send(wire.text("x", mask=None)), "1002"),
    (lambda client: client.send(wire.text(b"\xff")), "1007"),
    (lambda client: client.send(wire.header(wire.TEXT, 1 << 30)), "1009"),
], ids=["1000", "4321", "none", "reset", "eof", "1002", "1007", "1009"])
def test_close_code_is_counted_once(nginx, end, code):
    server = nginx(STATUS + ECHO)
    client = server.connect()
    end(client)
    client.disconnect()
    report = wait_for_clients(server, 0)
    assert report["total"]["close_codes"] == {code: 1}
    assert report["total"]["slow_closes"] == 0


def test_client_codes_do_not_displace_server_codes(nginx):
    server = nginx(STATUS + "location /probe { websocket probe; }",
                   http=handler_log.plugin())
    for code in range(3000, 3012):
        server.connect("/probe").leave(code)
    for code in range(4000, 4010):
        client = server.connect("/probe")
        client.text(f"close self {code}")
        client.expect_failure(code)
    codes = wait_for_clients(server, 0)["total"]["close_codes"]
    assert codes == {**{str(code): 1 for code in range(3000, 3008)},
                     **{str(code): 1 for code in range(4000, 4008)},
                     "other": 6}
    server.connect("/probe").leave(3007)
    server.connect("/probe").leave(3008)
    codes = wait_for_clients(server, 0)["total"]["close_codes"]
    assert codes["3007"] == 2 and codes["other"] == 7


STATUSES = [401, 402, 404, 409, 410, 418, 429, 451, 507, 599]


def test_refused_handshakes_are_counted_by_status(nginx):
    locations = "".join(
        f"location /{status} {{ websocket probe key{status}"
        f" status={status}; }}\n" for status in STATUSES)
    server = nginx(
        STATUS + ECHO + locations
        + "location /one { websocket echo; websocket_max_clients 1; }",
        http=handler_log.plugin())
    expected = {}

    def ask(status, path="/echo", **fields):
        report = server.request(wire.upgrade_request(path, **fields)).status
        assert report == status
        expected[str(status)] = expected.get(str(status), 0) + 1

    ask(400, key="short")
    ask(400, key=None)
    ask(403, origin="http://elsewhere")
    ask(405, method="POST")
    ask(426, upgrade=None)
    ask(426, websocket_version="12")
    ask(426, version="HTTP/1.0")
    server.connect("/one")
    ask(503, "/one")
    for status in STATUSES:
        ask(status, f"/{status}")
    refused = totals(server)["handshakes"]
    # Eight statuses that are not known get counters, the rest share "other"
    rest = [expected.pop(str(status)) for status in STATUSES[8:]]
    assert refused == {"accepted": 1,
                       "refused": {**expected, "other": sum(rest)}}


def test_refusals_of_nginx_are_not_counted(nginx):
    server = nginx(STATUS + "location /echo { websocket echo; deny all; }")
    assert server.request(wire.upgrade_request()).status == 403
    server.allow_errors("access forbidden by rule")
    assert totals(server)["handshakes"] == {"accepted": 0, "refused": {}}


# Slow clients

CRAMMED = """
location /status { websocket_status; limit_rate 0; }
limit_rate 100;
websocket_max_message_size 8k;
websocket_close_timeout 500ms;
location /close { websocket echo; websocket_send_queue 8k close; }
location /drop { websocket echo; websocket_send_queue 8k drop; }
"""
# Too many messages for the queue, read in one turn of the event loop
PIPELINED = numbered(8, 5000)


@pytest.mark.parametrize("path, closes", [("/drop", 0), ("/close", 1)])
def test_full_queue_is_counted(nginx, path, closes):
    server = nginx(CRAMMED, http="client_header_buffer_size 1m;")
    client = open_tuned(server)
    with stopped(only_worker(server)):
        client.send(wire.upgrade_request(path) + framed(PIPELINED),
                    duplex=False)
    assert client.read_response().status == 101
    wait_for_report(server, lambda report: report["total"]["dropped"] > 0,
                    "dropped messages")
    client.disconnect()
    entry = server.wait_for_access_log(uri=path)
    total = wait_for_clients(server, 0)["total"]
    assert total["dropped"] == int(entry["websocket_dropped"]) > 0
    assert total["messages_in"] == int(entry["websocket_messages_in"])
    assert total["messages_out"] == int(entry["websocket_messages_out"])
    assert total["slow_closes"] == closes
    assert ("1013" in total["close_codes"]) == (closes == 1)


def test_send_timeout_is_counted_as_a_slow_close(nginx):
    server = nginx(STATUS + "location /echo { websocket echo; "
                   "websocket_send_timeout 50ms; }", listen=TIGHT_LISTEN)
    client = connect_tight(server)
    client.send(framed(numbered(100, 1000)), duplex=False)
    entry = server.wait_for_access_log()
    assert entry["websocket_close_by"] == "timeout"
    total = wait_for_clients(server, 0)["total"]
    assert total["slow_closes"] == 1 and total["close_codes"] == {"1006": 1}


# Rooms, publishing, the shared memory

def test_resources_have_clients_and_history(nginx):
    server = nginx(STATUS + ROOM + "location = /publish"
                   " { websocket_publish room $arg_room; }",
                   workers=2, **REUSEPORT)
    first, second = (join(server, "/room/full", pid)
                     for pid in sorted(server.worker_pids()))
    for number in range(12):
        send_text(first, str(number))
    for client in (first, second):
        for number in range(12):
            last = read_type(client, "message")
    sender = publish_client.Publisher(server, "/publish?room=empty")
    epoch, sequence = sender.post("x")
    wait_for_clients(server, 2)
    report = report_of(server)
    assert report["resources"] == [
        {"handler": "room", "key": "full", "clients": 2, "messages": 9,
         "last": last["id"]},
        {"handler": "room", "key": "empty", "clients": 0, "messages": 1,
         "last": f"{epoch}-{sequence}"}]
    assert report["total"]["published"] == 1
    assert report["zone"]["entries"] == 10
    assert report["zone"]["logs"] == 2
    assert report["zone"]["subscriptions"] == 2
    assert report["handlers"][1] == {"name": "room", "clients": 2}


def test_handlers_of_plug_ins_are_listed(nginx):
    server = nginx(STATUS + "location /probe { websocket probe; }",
                   http=handler_log.plugin())
    server.connect("/probe")
    handlers = {handler["name"]: handler["clients"]
                for handler in wait_for_clients(server, 1)["handlers"]}
    assert handlers["probe"] == 1 and handlers["echo"] == 0


@pytest.mark.parametrize("raw, shown", [
    (b"<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
    (b'"\\/\t\r\x01\x7f', '"\\/\t\r\x01\x7f'),
    (b"\xff\xfe", "\ufffd\ufffd"),
    (b"a\xe2\x82", "a\ufffd"),
    ("h\u00e4user \U0001f600".encode(), "h\u00e4user \U0001f600"),
    (b"a:b:c", "a:b:c"), (b"</script>", "</script>"),
    (b"k" * 1500, "k" * 1500),
], ids=["html", "escapes", "no-utf8", "cut", "utf8", "colons", "script",
        "long"])
def test_any_bytes_of_a_key_give_valid_json(nginx, raw, shown):
    server = nginx(STATUS + ROOM)
    path = "/room/" + "".join(f"%{byte:02x}" for byte in raw)
    server.connect(path)
    resources = wait_for_clients(server, 1)["resources"]
    assert [(each["handler"], each["key"]) for each in resources] == [
        ("room", shown)]


def test_control_characters_of_a_key_are_escaped(nginx):
    server = nginx(STATUS + ROOM)
    server.connect("/room/a%1b%7f%c2%85%c2%9b%e2%80%a8%e2%80%aeb")
    wait_for_clients(server, 1)
    body = server.request(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n").body
    assert b'"a\\u001b\\u007f\\u0085\\u009b\\u2028\\u202eb"' in body
    assert re.fullmatch(rb"[ -~]+\n", body)


# The request

@pytest.fixture(name="server", scope="module")
def server_fixture(module_nginx):
    return module_nginx(
        STATUS + ECHO + "location /if { websocket_status prometheus;"
        " if ($arg_a) { add_header X-If yes; } }\n"
        "location /limited { websocket_status;"
        " limit_except GET { deny all; } }\n"
        "location /denied { websocket_status; deny all; }\n")


def ask(server, path="/status", method="GET", headers=""):
    """Sends a request; returns its response, whatever its status."""
    client = server.open()
    client.send(request(path, method, headers))
    return client.read_response(bodiless=method == "HEAD")


def test_head_has_no_body(server):
    response = ask(server, method="HEAD")
    assert response.status == 200 and not response.body
    assert response.header("Content-Type") == "application/json"
    assert int(response.header("Content-Length")) > 100


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS",
                                    "PATCH"])
def test_other_methods_are_refused(server, method):
    response = ask(server, method=method, headers="Content-Length: 0\r\n")
    assert response.status == 405
    assert response.header("Allow") == "GET, HEAD"
    assert ("websocket: status request refused with 405: the method is "
            "neither GET nor HEAD") in server.log()


def test_get_with_a_body_is_answered(server):
    client = server.open()
    body = b"GET /nothing HTTP/1.1\r\n\r\n"
    client.send(b"GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: "
                + str(len(body)).encode() + b"\r\n\r\n" + body
                + request("/status"))
    for _ in range(2):
        response = client.read_response()
        assert response.status == 200 and json.loads(response.body)


@pytest.mark.parametrize("path, kind", [
    ("/status", "application/json"),
    ("/status?format=json", "application/json"),
    ("/status?a=b&format=prometheus", "text/plain; version=0.0.4"),
    ("/status?format=html", "text/html; charset=utf-8"),
    ("/if", "text/plain; version=0.0.4"),
    ("/if?a=1", "text/plain; version=0.0.4"),
    ("/if?format=json", "application/json"),
    ("/limited", "application/json"),
])
def test_argument_chooses_the_form(server, path, kind):
    response = ask(server, path)
    assert response.status == 200
    assert response.header("Content-Type") == kind
    assert response.header("Cache-Control") == "no-store"


@pytest.mark.parametrize("format_", ["xml", "", "JSON", "json%00"])
def test_unknown_form_is_refused(server, format_):
    assert ask(server, f"/status?format={format_}").status == 400
    assert "the format is not json, prometheus or html" in server.log()


def test_access_rules_hold(server):
    for path in ("/denied", "/denied?format=html"):
        assert ask(server, path).status == 403
    server.allow_errors("access forbidden by rule")


def test_no_page_of_another_site_may_read_it(server):
    response = ask(server, headers="Origin: http://elsewhere\r\n")
    assert isinstance(response, HttpResponse)
    assert response.header("Access-Control-Allow-Origin") is None


def test_counters_in_a_single_process(nginx):
    server = nginx(STATUS + ECHO, master=False)
    client = server.connect()
    client.text("x")
    client.expect_text("x")
    report = report_of(server)
    assert len(report["workers"]) == 1
    assert report["total"]["messages_in"] == 1
