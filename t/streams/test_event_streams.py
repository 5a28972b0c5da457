"""Event streams of `room`: the same messages as a WebSocket gets."""

import json

import pytest

import wire
from event_stream_client import join_room, open_stream, refusal, stream_request
from publish_client import BINARY, Publisher
from room_client import join, publish, read, read_type

LOCATIONS = """
websocket_event_stream on;
location /room { websocket room r$arg_k history=5; }
location /present { websocket room p$arg_k presence=on presence_grace=0;
                    websocket_user $arg_u; }
location /publish { websocket_publish room r$arg_k; }
location /ping { websocket room ping; websocket_ping_interval 200ms; }
location /one { websocket room one$arg_k; websocket_max_clients 1; }
location /echo-off { websocket echo; websocket_event_stream off; }
location /off { websocket room off; websocket_event_stream off; }
location /moved { return 204; }
location /other { websocket room other; error_page 418 /moved; }
"""


@pytest.fixture(name="server", scope="module", params=["plain", "tls"])
def server_fixture(request, module_nginx):
    server = module_nginx(LOCATIONS, tls=True, workers=2)
    server.stream_options = {"tls": request.param == "tls"}
    return server


def follow(server, path, *fields):
    return join_room(server, path, *fields, **server.stream_options)


# Messages

def test_stream_gets_what_a_websocket_gets(server):
    stream, client = follow(server, "/room?k=1"), join(server, "/room?k=1")
    publisher = Publisher(server, "/publish?k=1")
    assert stream.welcome["room"] == "r1"
    assert stream.welcome["last"] == client.welcome["last"]
    assert stream.last_id == stream.welcome["last"]
    for text in ("first", "", "two\nlines", "id: 1-1\n\ndata: x", "\u00e4"):
        id_ = "%d-%d" % publisher.post(text)
        event, message = stream.read("message"), read(client)
        assert event.data == message["data"] == text
        assert event.id == message["id"] == id_
        assert event.fields == {"time": str(message["time"])}
    publisher.post(b"\0\xff\n", kind=BINARY)
    event, message = stream.read("binary"), read(client)
    assert event.bytes == b"\0\xff\n"
    assert event.data == message["base64"]
    assert event.id == message["id"]


def test_other_line_ends_are_sent_twice(server):
    stream = follow(server, "/room?k=lines")
    Publisher(server, "/publish?k=lines").post("a\r\nb\rc")
    event = stream.read("message")
    assert event.data == "a\nb\nc"
    assert event.fields["base64"] == "YQ0KYg1j"


def test_message_of_a_client_names_it(server):
    stream = follow(server, "/present?k=from&u=anna")
    client = join(server, "/present?k=from&u=bert%0a")
    joined = stream.read("joined")
    assert joined.json["client"] == client.welcome["client"]
    publish(client, "hello")
    event = stream.read("message")
    assert event.data == "hello"
    assert event.fields["from"] == str(client.welcome["client"])


@pytest.mark.parametrize("condition", [
    ("If-None-Match", "*"), ("If-Match", '"tag"'),
    ("If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT")])
def test_conditions_do_not_apply(server, condition):
    stream = follow(server, "/room?k=condition", condition)
    Publisher(server, "/publish?k=condition").post("text")
    assert stream.read_data() == ["text"]


def test_large_messages_arrive_whole(server):
    stream = follow(server, "/room?k=large")
    publisher = Publisher(server, "/publish?k=large")
    text = "x\ny" * 300_000
    for _ in range(3):
        publisher.post(text)
        assert stream.read("message").data == text


# Resuming

@pytest.mark.parametrize("seen", [0, 3, 5, 6])
def test_resume_returns_what_was_missed(server, seen):
    path = f"/room?k=resume{seen}"
    client = join(server, path)
    ids = [client.welcome["last"]]
    ids += [publish(client, str(number))["id"] for number in range(1, 9)]
    expected = list(map(str, range(max(seen + 1, 4), 9)))
    by_header = follow(server, path, ("Last-Event-ID", ids[seen]))
    by_argument = follow(server, f"{path}&since={ids[seen]}")
    # A page's EventSource repeats the address of its first request
    by_both = follow(server, f"{path}&since={ids[0]}",
                     ("Last-Event-ID", ids[seen]))
    for stream in (by_header, by_argument, by_both):
        assert stream.welcome["recovered"] is (seen >= 3)
        assert stream.read_data(len(expected)) == expected
        assert stream.last_id == ids[8]
    publish(client, "live")
    assert by_both.read_data() == ["live"]


def test_stream_that_got_nothing_resumes_where_it_began(server):
    path = "/room?k=nothing"
    client = join(server, path)
    publish(client, "before")
    stream = follow(server, path)
    stream.leave()
    publish(client, "missed")
    back = follow(server, path, ("Last-Event-ID", stream.last_id))
    assert back.welcome["recovered"] is True
    assert back.read_data() == ["missed"]


def test_bad_ids_are_refused(server):
    for fields in ([("Last-Event-ID", "x")],
                   [("Last-Event-ID", "1-1"), ("X", "y")]):
        response = refusal(server, "/room?k=bad&since=1-", *fields,
                           **server.stream_options)
        assert response.status == (400 if fields[0][1] == "x" else 200)
    assert refusal(server, "/room?since=x",
                   **server.stream_options).status == 400


# Presence and figures

def test_streams_are_present(server):
    client = join(server, "/present?k=here&u=anna")
    stream = follow(server, "/present?k=here&u=bert")
    joined = read_type(client, "joined")
    assert joined["user"] == "bert"
    assert joined["client"] == stream.welcome["client"]
    assert joined["clients"] == stream.welcome["clients"] == 2
    third = follow(server, "/present?k=here&u=carla")
    assert stream.read("joined").json["user"] == "carla"
    third.leave()
    assert stream.read("left").json == {
        "type": "left", "user": "carla", "client": third.welcome["client"],
        "clients": 2}
    stream.leave()
    assert read_type(client, "joined")["user"] == "carla"
    assert read_type(client, "left")["user"] == "carla"
    assert read_type(client, "left")["user"] == "bert"


def test_streams_count_as_clients(server):
    stream = follow(server, "/one?k=count")
    fields = {"tls": server.stream_options["tls"]}
    assert refusal(server, "/one?k=count", **fields).status == 503
    refused = server.request(wire.upgrade_request("/one?k=count"))
    assert refused.status == 503
    stream.leave()
    server.wait_for_log("websocket: closed by client, code 1005")
    join(server, "/one?k=count")


def test_end_of_a_stream_is_logged(server):
    stream = follow(server, "/room?k=log")
    Publisher(server, "/publish?k=log").post("12345")
    stream.read("message")
    stream.leave()
    line = server.wait_for_log("websocket: closed by client, code 1005")
    assert 'in 0 messages of 0 bytes, out 2 of' in line
    assert '"GET /room?k=log HTTP/1.1"' in line
    entry = server.wait_for_access_log(status=200, uri="/room")
    assert entry["websocket_subprotocol"] == "text/event-stream"


def test_comments_are_sent_while_nothing_else_is(server):
    stream = follow(server, "/ping")
    for _ in range(3):
        assert stream.read_comment() == b":"


# Requests

def test_header_allows_no_delay(server):
    response = follow(server, "/room?k=header").response
    assert response.header("Cache-Control") == "no-store, no-transform"
    assert response.header("X-Accel-Buffering") == "no"
    assert response.header("Connection") == "close"
    assert response.header("Transfer-Encoding") is None
    assert response.header("Content-Encoding") is None


@pytest.mark.parametrize("accept, status", [
    ("text/event-stream", 200), ("Text/Event-Stream; q=0.5", 200),
    ("text/html, text/event-stream", 200), ("*/*", 426), ("text/*", 426),
    ("text/event-streams", 426), ("", 426),
])
def test_the_type_must_be_named(server, accept, status):
    data = stream_request("/room?k=accept").replace(
        b"Accept: text/event-stream", b"Accept: " + accept.encode())
    assert server.request(data, **server.stream_options).status == status


def test_upgrade_precedes_the_type(server):
    client = join(server, "/room?k=both",
                  headers=[("Accept", "text/event-stream")])
    publish(client, "x")


@pytest.mark.parametrize("path", ["/off", "/echo-off"])
def test_streams_are_only_there_if_configured(server, path):
    assert refusal(server, path, **server.stream_options).status == 426


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_other_methods_are_refused(server, method):
    data = stream_request("/room").replace(b"GET", method.encode(), 1)
    assert server.request(data, **server.stream_options).status == 405


def test_input_is_dropped(server):
    stream = follow(server, "/room?k=input")
    stream.raw.send(b"GET / HTTP/1.1\r\n\r\n" * 5000)
    Publisher(server, "/publish?k=input").post("still")
    assert stream.read_data() == ["still"]


def test_half_close_ends_a_stream(server):
    stream = follow(server, "/room?k=half")
    stream.raw.half_close()
    stream.expect_end()
    server.wait_for_log("websocket: closed by client, code 1005")


def test_clients_can_be_closed(server):
    stream = follow(server, "/room?k=close")
    publisher = Publisher(server, "/publish?k=close")
    publisher.post("last")
    assert publisher.close_clients(
        "&code=4001&reason=%22a%5C%0Ab%C3%A4") == 1
    assert stream.read_data() == ["last"]
    assert stream.read("close").json == {
        "type": "close", "code": 4001, "reason": "\"a\\\nb\u00e4"}
    stream.expect_end()


def test_input_in_the_packet_of_the_request_is_dropped(server):
    raw = server.open(server.stream_options["tls"])
    raw.send(stream_request("/room?k=pipelined") + wire.text("x"))
    assert raw.read_response(bodiless=True).status == 200
    publisher = Publisher(server, "/publish?k=pipelined")
    publisher.post("x", clients=1)


def test_a_stream_needs_its_own_handler(module_nginx):
    passed, output = module_nginx.check(
        "location / { websocket echo; websocket_event_stream on; }")
    assert not passed
    assert ('"websocket_event_stream" is for the handlers "room" and "rooms", '
            'not "echo"') in output


def test_directive_takes_a_flag(module_nginx):
    passed, output = module_nginx.check(
        "location / { websocket room; websocket_event_stream maybe; }")
    assert not passed
    assert "websocket_event_stream" in output


def test_json_of_objects_is_one_line(server):
    stream = open_stream(server, "/room?k=%0a%0aevent:%20x",
                         **server.stream_options)
    event = stream.read("welcome")
    assert json.loads(event.data)["type"] == "welcome"
