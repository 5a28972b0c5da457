"""How event streams end: a token that ends, a slow client, a reload, a worker
that dies, a full location. Two hosts: streams follow messages of both."""

import signal

import pytest

from event_stream_client import (join_room, join_rooms, open_stream,
                                 stream_request)
from nginx_server import seconds, wait_until
from publish_client import Publisher, answer_of, post
from redis_faults import injected_fault, start_for_faults, wait_for_loss
from room_client import join, publish
from token_issuer import as_cookie, in_seconds
from tuned_client import TIGHT_LISTEN
from worker_picking import REUSEPORT, wait_for_other_worker

LOCATIONS = """
websocket_event_stream on;
location /room { websocket room r$arg_k history=1000; }
location /small { websocket room small history=10; websocket_send_queue 16k; }
location /timed { websocket room timed; websocket_send_timeout 500ms;
                  websocket_send_queue 100m; }
location /silent { websocket room silent; websocket_timeout 300ms;
                   websocket_ping_interval 100ms; }
location /token { websocket_jwt $cookie_token KEY leeway=0s;
                  websocket room token; }
location /publish { websocket_publish room $arg_k; }
"""


@pytest.fixture(name="start")
def start_fixture(nginx, issuer):
    def start(**options):
        return nginx(LOCATIONS.replace("KEY", issuer.key_file()),
                     **{"workers": 2, **options})
    return start


def post_to(server, room, *texts):
    publisher = Publisher(server, f"/publish?k={room}")
    for text in texts:
        publisher.post(text)


def test_token_that_ends_closes_its_stream(start, issuer):
    server = start()
    cookie, = as_cookie(issuer.token(
        {"sub": "42", "exp": in_seconds(seconds(1))}))["headers"]
    stream = join_room(server, "/token", cookie)
    assert stream.read("close", timeout=seconds(5)).json == {
        "type": "close", "code": 3000, "reason": "unauthorized"}
    stream.expect_end()


def test_slow_stream_is_closed_as_a_slow_client(start):
    server = start(listen=TIGHT_LISTEN)
    stream = join_room(server, "/small")
    post_to(server, "small", *(f"{number} " + 9000 * "x"
                               for number in range(200)))
    event = stream.read()
    while event.kind == "message":
        event = stream.read()
    assert event.json["code"] == 1013
    stream.expect_end()
    server.wait_for_log("send queue is full")


def test_stream_that_reads_nothing_is_ended(start):
    server = start(listen=TIGHT_LISTEN)
    join_room(server, "/timed")
    post_to(server, "timed", *(500_000 * "x" for _ in range(20)))
    server.wait_for_log("websocket_send_timeout exceeded")


def test_timeout_is_not_for_streams(start):
    """They never send. Comments keep them."""
    server = start()
    stream = join_room(server, "/silent")
    for _ in range(8):
        stream.read_comment()


@pytest.mark.parametrize("policy", ["keep", "release"])
def test_reload_drains_streams(nginx, policy):
    server = nginx(
        f"""websocket_event_stream on; websocket_request {policy};
        location /room {{ websocket room r history=1000; }}
        location /publish {{ websocket_publish room $arg_k; }}""",
        http="websocket_drain 500ms;", workers=2)
    streams = [join_room(server, "/room") for _ in range(20)]
    post_to(server, "r", "before")
    server.reload()
    for stream in streams:
        assert stream.read_data() == ["before"]
        event = stream.read("close")
        assert event.json == {"type": "close", "code": 1001,
                              "reason": "server is shutting down"}
        stream.expect_end()
    post_to(server, "r", "between")
    for stream in streams:
        back = join_room(server, "/room", ("Last-Event-ID", stream.last_id))
        assert back.welcome["recovered"] is True
        assert back.read_data() == ["between"]


def test_request_to_a_worker_that_shuts_down_ends_without_a_status(nginx):
    """A browser may have connected before the reload. EventSource comes back
    after the end of a connection, but not after a status."""
    server = nginx("""websocket_event_stream on;
        location /room { websocket room r; }""", http="websocket_drain 30s;")
    streams = [join_room(server, "/room") for _ in range(2)]
    early = server.open()
    wait_until(lambda: server.active_connections() == 3, seconds(5),
               "the third connection")
    server.reload()
    streams[0].read("close")  # the second one keeps the worker
    early.send(stream_request("/room"))
    early.expect_eof()
    server.wait_for_log("this worker is shutting down")
    join_room(server, "/room")


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_stop_closes_streams(start, number):
    server = start()
    streams = [join_room(server, "/room") for _ in range(5)]
    server.send_signal(number)
    for stream in streams:
        assert stream.read("close").json["code"] == 1001
        stream.expect_end()
    server.wait_for_exit()


def test_times_to_come_back_differ(start):
    server = start()
    times = {join_room(server, "/room").retry for _ in range(20)}
    assert len(times) > 5 and min(times) >= 1000 and max(times) < 4000


def test_streams_of_a_killed_worker_resume(start):
    server = start(**REUSEPORT)
    pids = sorted(server.worker_pids())
    streams = [join_room(server, "/room?k=k", pid=pids[0]) for _ in range(3)]
    client = join(server, "/room?k=k", pids[1])
    publish(client, "seen")
    for stream in streams:
        assert stream.read_data() == ["seen"]
    server.allow_errors("exited on signal 9")
    server.send_signal(signal.SIGKILL, pids[0])
    for stream in streams:
        stream.expect_end()
    wait_for_other_worker(server, pids[0], 2)
    publish(client, "missed")
    for stream in streams:
        back = join_room(server, "/room?k=k",
                         ("Last-Event-ID", stream.last_id))
        assert back.read_data() == ["missed"]


def test_streams_of_two_hosts(hosts):
    group = hosts("""
        websocket_event_stream on;
        location /room { websocket room two history=100; }
        location /rooms { websocket rooms; websocket_rooms * history=100; }
        """, workers=2)
    streams = [join_room(host.server, "/room") for host in group]
    many = [join_rooms(host.server, "/rooms", ["two", "three"])
            for host in group]
    for host in group:
        answer = answer_of(host.server.request(post("text", "/room")))
        for stream in streams:
            event = stream.read("message")
            assert (event.id, event.data) == (answer["id"], "text")
        for stream in many:
            event = stream.read("message").json
            assert (event["room"], event["id"]) == ("two", answer["id"])


def test_stream_waits_for_redis(hosts, start_redis):
    """With `wait=` a stream is accepted while Redis is away, and begins when it
    is back. Its history is whole, and its end while it waits is noticed."""
    group = start_for_faults(hosts, start_redis, """
        websocket_event_stream on;
        location /room { websocket room wait history=100; }
        location = /status { websocket_status; }
        """, "connect_timeout=500ms command_timeout=3s wait=20s")
    first = answer_of(group[1].server.request(post("first", "/room")))["id"]
    answer_of(group[1].server.request(post("second", "/room")))
    with injected_fault(group, "killed"):
        wait_for_loss(group[0])
        stream = open_stream(group[0].server, "/room", ("Last-Event-ID", first))
        open_stream(group[0].server, "/room").leave()
        group[0].server.wait_for_log("websocket: closed by client, code 1005")
    assert stream.read("welcome", timeout=seconds(20)).json["room"] == "wait"
