"""Event streams over HTTP/2, where many clients share a connection."""

import signal
import time
import zlib

import pytest

from http2_streams import Http2Connection
from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import join, publish, read_type
from status_reader import report_of
from worker_probe import memory, memory_is_exact

LOCATIONS = """
websocket_event_stream on;
gzip_types text/event-stream;
location /room { websocket room r$arg_k history=1000; }
location /packed { websocket room packed; gzip on; }
location /present { websocket room p presence=on; }
location /slow { websocket room slow$arg_k history=1000;
                 websocket_send_queue 64k drop; websocket_max_message_size 1m; }
location /closed { websocket room closed; websocket_send_queue 16k; }
location /timed { websocket room timed; websocket_send_timeout 500ms; }
location /limited { websocket room limited; limit_rate 10; }
location /ping { websocket room ping; websocket_ping_interval 100ms; }
location /one { websocket room one; websocket_max_clients 1; }
location /publish { websocket_publish room $arg_k; }
location = /status { websocket_status; }
"""


@pytest.fixture(name="start")
def start_fixture(nginx):
    def start(**options):
        return nginx(LOCATIONS, **{
            "ports": 1, "server": "listen 127.0.0.1:%%PORT1%% http2;",
            **options})
    return start


@pytest.fixture(name="server", scope="module")
def server_fixture(module_nginx):
    return module_nginx(LOCATIONS, ports=1, workers=2,
                        server="listen 127.0.0.1:%%PORT1%% http2;")


def connect(server, **options):
    return Http2Connection(server, port=server.ports[0], **options)


def post_to(server, room, *texts):
    publisher = Publisher(server, f"/publish?k={room}")
    for text in texts:
        publisher.post(text)


def test_many_streams_of_one_connection(server):
    connection = connect(server)
    streams = [connection.join(f"/room?k={number % 3}")
               for number in range(12)]
    clients = {stream.welcome["client"] for stream in streams}
    assert len(clients) == 12, "each is a client of its own"
    for number in range(3):
        post_to(server, f"r{number}", f"to {number}")
    for number, stream in enumerate(streams):
        assert stream.read_data() == [f"to {number % 3}"]


def test_stream_that_is_reset_leaves_alone(server):
    watching = join(server, "/present")
    connection = connect(server)
    first, second = connection.join("/present"), connection.join("/present")
    for _ in range(2):
        read_type(watching, "joined")
    first.reset()
    left = read_type(watching, "left")
    assert left["client"] == first.welcome["client"]
    server.wait_for_log("websocket: closed by client, code 1005")
    publish(watching, "still")
    # The event waits for those of others, the message does not
    events = [second.read(), second.read()]
    assert {event.kind for event in events} == {"left", "message"}
    connection.raw.disconnect()
    assert read_type(watching, "left")["client"] == second.welcome["client"]


def test_resume(server):
    connection = connect(server)
    stream = connection.join("/room?k=resume")
    post_to(server, "rresume", "1", "2")
    assert stream.read_data(2) == ["1", "2"]
    stream.reset()
    post_to(server, "rresume", "3")
    back = connection.join("/room?k=resume", ("last-event-id", stream.last_id))
    assert back.welcome["recovered"] is True
    assert back.read_data() == ["3"]


def test_large_messages_through_a_small_window(server):
    """The window opens in parts, which end anywhere in an event."""
    connection = connect(server, window=1000)
    stream = connection.join("/room?k=large")
    texts = [f"{number}" + 30_000 * "x" for number in range(5)]
    post_to(server, "rlarge", *texts)
    for text in texts:
        while b"\n\n" not in stream.body:
            before = len(stream.body)
            stream.open_window(7777)
            while len(stream.body) < before + 7000 and \
                    b"\n\n" not in stream.body:
                connection.read_frame()
        assert stream.read_data() == [text]


def test_stream_without_window_holds_up_no_other(server):
    connection = connect(server, window=2000)
    closed, other = connection.join("/slow?k=w"), connection.join("/slow?k=w")
    other.open_window(1 << 20)
    texts = [f"{number}" + 5000 * "x" for number in range(100)]
    post_to(server, "sloww", *texts)
    assert other.read_data(100) == texts
    closed.open_window(1 << 20)
    assert closed.read_data(100) == texts, "the rest is in the history"


def test_slow_stream_is_closed(server):
    connection = connect(server, window=2000)
    stream, other = connection.join("/closed"), connection.join("/room?k=c")
    post_to(server, "closed", *(5000 * "x" for _ in range(20)))
    stream.open_window(1 << 20)
    event = stream.read()
    while event.kind == "message":
        event = stream.read()
    assert event.json["code"] == 1013
    stream.expect_end()
    post_to(server, "rc", "still")
    assert other.read_data() == ["still"]


def test_stream_that_reads_nothing_is_ended(server):
    connection = connect(server, window=2000)
    stream, other = connection.join("/timed"), connection.join("/room?k=t")
    post_to(server, "timed", *(100_000 * "x" for _ in range(3)))
    server.wait_for_log("websocket_send_timeout exceeded")
    # nginx sends its RST_STREAM with the next frame of the connection
    post_to(server, "rt", "still")
    assert other.read_data() == ["still"]
    while not stream.ended:
        connection.read_frame()
    assert stream.was_reset is not None


def test_stream_that_reads_slowly_goes_on(server):
    """The timeout counts from what was sent last."""
    connection = connect(server, window=1000)
    stream = connection.join("/timed")
    post_to(server, "timed", 300_000 * "x")
    end = time.monotonic() + 1.5  # three times the timeout
    while time.monotonic() < end:
        size = len(stream.body)
        stream.open_window(1000)
        while len(stream.body) < size + 500:
            assert not stream.ended
            connection.read_frame()
        time.sleep(0.1)
    stream.open_window(1 << 20)
    assert stream.read_data() == [300_000 * "x"]
    stream.reset()


@pytest.mark.parametrize("condition", [
    ("if-none-match", "*"), ("if-match", '"tag"'),
    ("if-unmodified-since", "Mon, 01 Jan 2001 00:00:00 GMT")])
def test_conditions_do_not_apply(server, condition):
    connection = connect(server)
    stream = connection.join("/room?k=condition", condition)
    post_to(server, "rcondition", "text")
    assert stream.read_data() == ["text"]
    stream.reset()


def test_limit_rate_does_not_delay(server):
    stream = connect(server).join("/limited")
    post_to(server, "limited", 1000 * "x")
    assert stream.read_data() == [1000 * "x"]


def test_gzip_does_not_delay(server):
    """Its output is flushed with each event."""
    connection = connect(server)
    stream = connection.ask("/packed", ("accept", "text/event-stream"),
                            ("accept-encoding", "gzip"))
    inflate = zlib.decompressobj(31)
    text = b""
    while b"welcome" not in text:
        connection.read_frame()
        text += inflate.decompress(stream.body)
        stream.body = b""
    for number in range(10):
        post_to(server, "packed", f"text {number}")
        while f"data: text {number}\n\n".encode() not in text:
            connection.read_frame()
            text += inflate.decompress(stream.body)
            stream.body = b""


def test_comments(server):
    stream = connect(server).join("/ping")
    for _ in range(5):
        assert stream.read_block() == b":"


def test_post_and_refusals(server):
    connection = connect(server)
    stream = connection.join("/room?k=post")
    answer = connection.ask("/room?k=post", method="POST", body=b"text")
    assert stream.read_data() == ["text"]
    while not answer.ended:
        connection.read_frame()
    assert b'"id"' in answer.body
    first = connection.join("/one")
    refused = connection.ask("/one", ("accept", "text/event-stream"))
    while not refused.ended:
        connection.read_frame()
    assert b"503" in refused.body
    first.reset()


def test_clients_can_be_closed(server):
    connection = connect(server)
    stream, other = connection.join("/room?k=x"), connection.join("/room?k=y")
    publisher = Publisher(server, "/publish?k=rx")
    assert publisher.close_clients("&code=4001&reason=bye") == 1
    assert stream.read("close").json == {
        "type": "close", "code": 4001, "reason": "bye"}
    stream.expect_end()
    post_to(server, "ry", "still")
    assert other.read_data() == ["still"]


def test_memory_does_not_grow_with_messages(start):
    """A stream lives for days: what it has sent must leave nothing."""
    server = start()
    connection = connect(server)
    stream = connection.join("/room")

    def deliver(count):
        for _ in range(count // 500):
            publisher = Publisher(server, "/publish?k=r")
            for number in range(500):
                publisher.post(f"{number} " + 300 * "x")
                stream.read_data()
            publisher.client.disconnect()
        return memory(server.worker_pids()[0], "Private_Dirty")
    before = deliver(500)
    after = deliver(3000)
    assert after - before < 300_000 or not memory_is_exact()


def test_reload_drains(start):
    server = start(http="websocket_drain 300ms;", workers=1)
    connection = connect(server)
    streams = [connection.join("/room") for _ in range(5)]
    post_to(server, "r", "before")
    server.reload()
    for stream in streams:
        assert stream.read_data() == ["before"]
        assert stream.read("close").json["code"] == 1001
        stream.expect_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_stop(start, number):
    server = start(workers=1)
    connection = connect(server)
    stream = connection.join("/room")
    server.send_signal(number)
    if number == signal.SIGQUIT:
        assert stream.read("close").json["code"] == 1001
        stream.expect_end()
    server.wait_for_exit()


def test_figures(server):
    def clients():
        return report_of(server)["total"]["clients"]
    before = clients()
    connection = connect(server)
    streams = [connection.join("/room?k=f") for _ in range(3)]
    assert clients() == before + 3
    streams[0].reset()
    wait_until(lambda: clients() == before + 2, seconds(5), "two clients")
