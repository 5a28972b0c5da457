"""Messages and closes reach clients in the order of the handler's calls. Only
the event loop delivers them, within budgets."""

import pytest

import plugin_builder
import wire
from worker_probe import only_worker, stopped

HANDLERS = ["ordering", "replacing", "counted", "gauge"]
LOCATIONS = "".join(
    f"location /{name} {{ websocket {name} $arg_k; }}\n" for name in HANDLERS)
LOCATIONS += """
location /full { websocket ordering $arg_k; websocket_send_queue 64k drop; }
location /room { websocket room $arg_k; }
location /limited {
    websocket room $arg_k; websocket_limit_messages rate=1/s burst=1;
}
"""
READERS = 100
BAD_FRAME = b"\x83\x80\0\0\0\0"  # a reserved opcode


@pytest.fixture(scope="module")
def server(module_nginx):
    plugin = plugin_builder.build_file("ordering.cpp")
    return module_nginx(LOCATIONS, http=f"websocket_plugin {plugin};",
                        listen="rcvbuf=4m sndbuf=4m")


@pytest.fixture
def key(request):
    """A new resource for each test."""
    return f"{abs(hash(request.node.name))}"


# Order

@pytest.mark.parametrize("text", ["send", "frame", "nested send", "timer"])
def test_broadcast_precedes_later_sends(server, key, text):
    client = server.connect(f"/ordering?k={key}")
    client.text(text)
    client.expect_text("first")
    client.expect_text("second")


@pytest.mark.parametrize("text", ["close", "nested close"])
def test_broadcast_precedes_a_later_close(server, key, text):
    client = server.connect(f"/ordering?k={key}")
    client.text(text)
    client.expect_text("first")
    client.expect_close(4000, "second")


def test_close_follows_earlier_sends(server, key):
    client = server.connect(f"/ordering?k={key}")
    client.text("close at delivery")
    client.expect_text("first")
    client.expect_text("second")
    client.expect_close(4000, "second")


@pytest.mark.parametrize("text", ["send", "close"])
def test_order_holds_where_a_client_is_just_connecting(server, key, text):
    pid = only_worker(server)
    client, other = server.connect(f"/ordering?k={key}"), server.open()
    with stopped(pid):
        other.send(wire.upgrade_request(f"/ordering?k={key}"))
        client.text(text)
    client.expect_text("first")
    if text == "send":
        client.expect_text("second")
    else:
        client.expect_close(4000, "second")


def test_sends_and_broadcasts_alternate(server, key):
    client, other = (server.connect(f"/ordering?k={key}") for _ in range(2))
    client.text("alternate")
    for i in range(500):
        client.expect_text(f"broadcast {i}")
        client.expect_text(f"sent {i}")
        other.expect_text(f"broadcast {i}")


def test_client_that_connects_gets_what_was_published_first(server, key):
    client = server.connect(f"/ordering?k={key}&greet=yes")
    client.expect_text("published")
    client.expect_text("welcome")


@pytest.mark.parametrize("end, code", [
    (BAD_FRAME, 1002), (wire.close(1000), 1000)])
@pytest.mark.parametrize("path", ["/room", "/ordering"])
def test_message_before_the_end_of_its_packet_is_echoed(server, key, path,
                                                        end, code):
    client = server.connect(f"{path}?k={key}")
    client.send(wire.text("hello") + end)
    client.expect_text("hello")
    client.expect_close(code)


def test_message_before_a_half_close_is_echoed(server, key):
    client = server.connect(f"/room?k={key}")
    client.text("hello")
    client.half_close()
    client.expect_text("hello")


def test_message_before_the_rate_limit_is_echoed(server, key):
    client = server.connect(f"/limited?k={key}")
    client.send(wire.text("hello") * 3)
    client.expect_text("hello")
    assert client.read_frame().opcode in (wire.TEXT, wire.CLOSE)


# Memory

def test_buffer_reused_during_delivery_is_sent_unchanged(server, key):
    client = server.connect(f"/replacing?k={key}")
    client.text("x")
    client.expect_binary(b"o" * 100)
    client.text("x")
    client.expect_binary(b"n" * 100)


def test_frame_reused_during_delivery_is_sent_unchanged(server, key):
    client = server.connect(f"/replacing?k={key}")
    for expected in "on":
        client.binary(b"x")
        client.expect_text(expected * 3000)


def test_reason_reused_during_delivery_is_sent_unchanged(server, key):
    client = server.connect(f"/replacing?k={key}")
    client.binary(b"")
    client.expect_close(4000, "o" * 100)


def test_pending_delivery_counts_in_the_send_queue(server, key):
    client = server.connect(f"/full?k={key}")
    client.text("fill")
    client.expect_text("first")
    client.text("taken")
    frame, taken = client.read_frame(), 0
    while frame.payload.startswith(b"x"):
        frame, taken = client.read_frame(), taken + 1
    # One message may exceed the queue, as in a client's own turn
    assert 1 <= taken < 130
    assert frame.payload == f"taken {taken}".encode()


# Budgets

def flood(server, key):
    """Connects readers of a room; returns them and a flood of messages."""
    readers = [server.connect(f"/counted?k={key}") for _ in range(READERS)]
    return readers, wire.text("x") * 9000


def deliveries_when_asked(gauge):
    return int(gauge.read_frame().payload)


@pytest.mark.parametrize("newcomer", [False, True])
def test_flood_is_delivered_in_turns(server, key, newcomer):
    """Other clients are served soon, also if a client joins the room."""
    pid = only_worker(server)
    readers, messages = flood(server, key)
    gauge, other = server.connect(f"/gauge?k={key}"), server.open()
    gauge.text("?")
    before = deliveries_when_asked(gauge)
    with stopped(pid):
        readers[0].send(messages)
        if newcomer:
            other.send(wire.upgrade_request(f"/counted?k={key}"))
        gauge.text("?")
    done = deliveries_when_asked(gauge) - before
    for _ in range(9000):
        readers[-1].expect_text("x")
    gauge.text("?")
    assert deliveries_when_asked(gauge) - before >= 9000 * READERS
    assert done < 9000 * READERS // 10
    if newcomer:
        assert other.read_response().status == 101
        readers[0].text("later")
        text = None
        while text != b"later":
            text = other.read_frame().payload
