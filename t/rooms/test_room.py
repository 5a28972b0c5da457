"""Rooms: messages that clients publish and receive, raw and as room.v1.json."""

import base64
import json
import time

import pytest

import wire
from room_client import (JSON, join, publish, read, read_data, read_type,
                         send_text)
from worker_picking import REUSEPORT, connect_to, on_each_worker, worker_of

LOCATIONS = """
location /room { websocket room room$arg_k; }
location /quiet { websocket room quiet$arg_k self=off; }
location /listen { websocket room listen$arg_k publish=off; }
location /chosen { websocket room chosen; websocket_subprotocols chat bearer; }
location /key { websocket room $arg_k; }
location ~ ^/path/(.*)$ { websocket room $1; }
location /text { websocket room text; websocket_accept text; }
location /large { websocket room large; websocket_max_message_size 8m; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, workers=2, **REUSEPORT)


def pair(server, path):
    """Two JSON clients on two workers."""
    return [join(server, path, pid) for pid in sorted(server.worker_pids())]


# Raw

def test_raw_message_goes_to_all_as_its_kind(server):
    clients = on_each_worker(server, "/room?k=raw")
    clients += on_each_worker(server, "/room?k=raw")
    assert len({worker_of(client) for client in clients}) == 2
    elsewhere = server.connect("/room?k=elsewhere")
    for index, client in enumerate(clients):
        client.text(f"text {index}")
        client.binary(bytes([index, 0, 255]))
        for each in clients:
            each.expect_text(f"text {index}")
            each.expect_binary(bytes([index, 0, 255]))
    elsewhere.expect_alive()


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 1048576])
def test_raw_message_of_any_size(server, size):
    clients = on_each_worker(server, "/room?k=size")
    clients[0].binary(b"x" * size)
    for client in clients:
        client.expect_binary(b"x" * size)


@pytest.mark.parametrize("protocols", [[], [JSON]], ids=["raw", "json"])
@pytest.mark.parametrize("frame", [wire.text("x"), wire.binary("x"),
                                   wire.text('{"data":"x"}')])
def test_publish_off_closes_clients_that_publish(server, protocols, frame):
    other = server.connect("/listen")
    client = server.connect("/listen", subprotocols=protocols)
    if protocols:
        read_type(client, "welcome")
    client.expect_alive()
    client.send(frame)
    client.expect_failure(1008)
    other.expect_alive()


@pytest.mark.parametrize("path", ["/room?k=ping", "/listen"])
def test_ping_is_answered(server, path):
    """A client may ping even if it may not publish. Only the sender gets the
    pong."""
    other, client = pair(server, path)
    for ping, answer in [({"ping": 1, "ref": 7}, {"ref": 7}),
                         ({"ping": 1}, {}),
                         ({"ref": {"a": [None]}, "ping": {"x": 1}},
                          {"ref": {"a": [None]}})]:
        client.text(json.dumps(ping))
        assert read(client) == {"type": "pong", **answer}
    other.expect_alive()


def test_ping_of_a_raw_client_is_a_message(server):
    client = server.connect("/room?k=rawping")
    client.text('{"ping":1,"ref":7}')
    client.expect_text('{"ping":1,"ref":7}')


@pytest.mark.parametrize("text", ['{"ping":1,"data":"x"}', "{}", "ping"])
def test_publish_off_allows_a_ping_alone(server, text):
    client = join(server, "/listen")
    client.text(text)
    client.expect_failure(1008)


def test_kinds_that_are_not_accepted_are_not_published(server):
    client = server.connect("/text")
    client.binary("x")
    client.expect_failure(1003)


# The subprotocol

@pytest.mark.parametrize("path, offered, chosen", [
    ("/room?k=offer", [], None),
    ("/room?k=offer", [JSON], JSON),
    ("/room?k=offer", ["chat", JSON], JSON),
    ("/room?k=offer", ["chat"], None),
    ("/room?k=offer", ["room.v2.json"], None),
    ("/room?k=offer", ["ROOM.V1.JSON"], None),
    # Names of websocket_subprotocols in addition to its own
    ("/chosen", [], None),
    ("/chosen", [JSON], JSON),
    ("/chosen", ["chat", JSON], JSON),
    ("/chosen", ["chat"], "chat"),
    ("/chosen", ["bearer", "eyJhbGciOi.tok-en"], "bearer"),
    ("/chosen", ["bearer", "x", "chat"], "chat"),
    ("/chosen", ["Chat", "chats"], None),
])
def test_subprotocol(server, path, offered, chosen):
    client = server.connect(path, subprotocols=offered)
    assert client.response.all("Sec-WebSocket-Protocol") == [
        name for name in [chosen] if name]


def test_subprotocol_of_the_directive_gets_plain_messages(server):
    client = server.connect("/chosen", subprotocols=["chat"])
    client.text('{"data":"x"}')
    client.expect_text('{"data":"x"}')


def test_welcome(server):
    first = join(server, "/room?k=welcome")
    assert list(first.welcome) == ["type", "client", "room", "last",
                                   "clients", "recovered"]
    assert first.welcome["room"] == "roomwelcome"
    assert first.welcome["clients"] == 1
    assert first.welcome["recovered"] is False
    epoch, number = first.welcome["last"].split("-")
    assert int(epoch) > 0 and number == "0"
    message = publish(first, "one")
    second = join(server, "/room?k=welcome")
    assert second.welcome["last"] == message["id"] == f"{epoch}-1"
    assert second.welcome["clients"] == 2
    assert 0 < first.welcome["client"] < 2**53
    assert second.welcome["client"] != first.welcome["client"]


@pytest.mark.parametrize("path, name", [
    ("/path/%22quoted%22", '"quoted"'), ("/path/a%5Cb", "a\\b"),
    ("/path/tab%09", "tab\t"), ("/path/%C3%A4", "\xe4"),
    ("/path/broken%FF", "broken\ufffd"),
])
def test_name_of_the_room_is_json(server, path, name):
    assert join(server, path).welcome["room"] == name


def test_message_in_both_forms(server):
    first, second = pair(server, "/room?k=forms")
    raw = server.connect("/room?k=forms")
    before = time.time()
    send_text(first, "words")
    found = read_type(first, "message")
    assert list(found) == ["type", "id", "time", "from", "data"]
    assert found == read(second)
    assert found["from"] == first.welcome["client"]
    assert found["data"] == "words"
    assert before - 1 < found["time"] / 1000 < time.time() + 1
    raw.expect_text("words")

    raw.text('{"data":"not json here"}')
    found = read_type(first, "message")
    assert found == read(second)
    assert found["data"] == '{"data":"not json here"}'
    assert found["from"] not in (first.welcome["client"], None)
    raw.expect_text('{"data":"not json here"}')


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 196607, 196608, 196609,
                                  700000])
def test_binary_is_base64(server, size):
    first, second = pair(server, "/room?k=binary")
    raw = server.connect("/room?k=binary")
    data = bytes(index * 7 % 256 for index in range(size))
    first.binary(data)
    for client in (first, second):
        found = read_type(client, "message")
        assert "data" not in found
        assert base64.b64decode(found["base64"], validate=True) == data
        assert found["from"] == first.welcome["client"]
    raw.expect_binary(data)


@pytest.mark.parametrize("data", [
    "", " ", '"', "\\", "/", "\b\f\n\r\t", "\0\x01\x1f\x7f", "\u2028\u2029",
    "\xe4\u20ac\U0001f600", "\ufffe", "</script>", "".join(map(chr,
                                                              range(256))),
])
@pytest.mark.parametrize("plain", [True, False], ids=["utf-8", "escaped"])
def test_any_text_survives(server, data, plain):
    first, second = pair(server, "/room?k=text")
    raw = server.connect("/room?k=text")
    first.text(json.dumps({"data": data}, ensure_ascii=not plain))
    for client in (first, second):
        assert read_data(client) == [data]
    raw.expect_text(data)


def test_large_text(server):
    first, second = pair(server, "/large")
    raw = server.connect("/large")
    data = "\xe4\"\n" * 500000
    send_text(first, data)
    for client in (first, second):
        assert read_data(client) == [data]
    raw.expect_text(data)


@pytest.mark.parametrize("ref", [
    "null", "true", "false", "0", "-0", "-1.50e+3", "12345678901234567890123",
    "1E10", '""', '"a\\u0062c\\""', "[]", "{}",
    '[1, {"data": 5, "ref": [null]}]', '{"b":1,"a":{"c":[]},"b":2}',
    "[" * 10000 + "]" * 10000,
])
@pytest.mark.parametrize("form", ['{"data":"x","ref":%s}',
                                  '{"ref":%s,"data":"x"}',
                                  ' { "ref" \n:\t%s \r\n, "data" : "x" } '])
def test_ref_is_returned_unchanged(server, ref, form):
    client = join(server, "/room?k=ref")
    client.text(form % ref)
    message = read_type(client, "message")
    answer = client.read_frame().payload.decode()
    assert answer == ('{"type":"published","ref":' + ref + ',"id":"'
                      + message["id"] + '"}')
    client.text('{"data":5,"ref":%s}' % ref)
    assert client.read_frame().payload.decode() == (
        '{"type":"error","ref":' + ref
        + ',"message":"data is not a string"}')


def test_without_ref_nothing_is_answered(server):
    client, other = pair(server, "/quiet?k=ref")
    send_text(client, "one")
    send_text(client, "two", ref=7)
    assert read_data(other) == ["one"]
    second = read_type(other, "message")
    assert read(client) == {"type": "published", "ref": 7,
                            "id": second["id"]}
    client.expect_alive()


@pytest.mark.parametrize("text, error", [
    ("", "not JSON"), ("words", "not JSON"), ('{"data":"x"', "not JSON"),
    ('{"data":"x"}}', "not JSON"), ('{"data":"x",}', "not JSON"),
    ("{'data':'x'}", "not JSON"), ('{"data":"\\ud800"}', "not JSON"),
    ('{"data":"\n"}', "not JSON"), ('{"data":"x"} {}', "not JSON"),
    ('{"data":"x","ref":1e999}', "not JSON"), ('{"data":"x","ref":}',
                                               "not JSON"),
    ("[]", "not an object"), ('["data","x"]', "not an object"),
    ("5", "not an object"), ('"x"', "not an object"), ("null",
                                                       "not an object"),
    ('[{"data":"x"}]', "not an object"),
    ("{}", "no data"), ('{"Data":"x"}', "no data"),
    ('{"a":{"data":"x"}}', "no data"), ('{"a":[{"data":"x"}]}', "no data"),
    ('{"data":5}', "data is not a string"),
    ('{"data":null}', "data is not a string"),
    ('{"data":["x"]}', "data is not a string"),
    ('{"data":{"data":"x"}}', "data is not a string"),
    ('{"data":"x","data":5}', "data is not a string"),
    ("[" * 500000, "not JSON"), ('{"data":' * 100000, "not JSON"),
    ("[" * 500000 + "]" * 500000, "not an object"),
], ids=lambda value: value[:20])
def test_wrong_message_is_answered_with_an_error(server, text, error):
    client, other = pair(server, "/room?k=error")
    client.text(text)
    assert read(client) == {"type": "error", "message": error}
    send_text(client, "goes on")
    for each in (client, other):
        assert read_data(each) == ["goes on"]


@pytest.mark.parametrize("text, data", [
    ('{"data":"x","data":"y"}', "y"), ('{"data":5,"data":"y"}', "y"),
    ('{"a":[1,{"data":"z"}],"data":"y","b":{"data":"z"}}', "y"),
    ('\ufeff{"data":"y"}', "y"), ('{"d\\u0061ta":"y"}', "y"),
])
def test_unusual_objects_are_taken(server, text, data):
    client = join(server, "/room?k=unusual")
    client.text(text)
    assert read_data(client) == [data]


# Several rooms

def test_rooms_are_separate(server):
    one, two = (connect_to(server, server.worker_pids()[0], f"/key?k={key}")
                for key in "ab")
    one.text("a")
    one.expect_text("a")
    two.text("b")
    two.expect_text("b")


def test_single_process(nginx):
    server = nginx(LOCATIONS, master=False)
    first, second = (join(server, "/room") for _ in range(2))
    raw = server.connect("/room")
    send_text(first, "words")
    for client in (first, second):
        assert read_data(client) == ["words"]
    raw.expect_text("words")
