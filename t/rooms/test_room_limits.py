"""Rooms at their limits: clients slower than the room, workers slower than the
shared memory, and full memory. Each loss is reported."""

import pytest

import wire
import worker_probe
from nginx_server import seconds
from room_client import (JSON, join, publish, read, read_data, read_type,
                         send_text, sequence)
from tuned_client import TIGHT_BUFFER, TIGHT_LISTEN, open_tuned
from worker_picking import REUSEPORT, connect_to, worker_of

SMALL = "websocket_send_queue 16k drop;"
LOCATIONS = f"""
location /long {{ websocket room long$arg_k history=100000; {SMALL} }}
location /short {{ websocket room short$arg_k history=50; {SMALL} }}
location /none {{ websocket room none$arg_k; {SMALL} }}
location /informed {{
    websocket room informed$arg_k history=100000 presence=on; {SMALL}
}}
location /quiet {{
    websocket room quiet$arg_k history=100000 self=off; {SMALL}
}}
location /close {{
    websocket room close$arg_k history=100000;
    websocket_send_queue 16k;
}}
location /burst {{ websocket room burst$arg_k; websocket_send_queue 64k; }}
"""
TIGHT = dict(REUSEPORT, listen=f"{REUSEPORT['listen']} {TIGHT_LISTEN}")
COUNT, SIZE = 2000, 500


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, workers=2, **TIGHT)


@pytest.fixture
def tiny(nginx):
    """A server with the smallest possible shared memory."""
    return nginx(LOCATIONS, workers=2, **REUSEPORT,
                 http="websocket_shared_memory 512k;"
                      "websocket_room_memory 512k;"
                      "websocket_max_message_size 4m;")


def slow_client(server, path, protocols=()):
    """A client with small buffers in the kernel."""
    client = open_tuned(server, kernel_buffer=TIGHT_BUFFER)
    fields = {"protocol": ", ".join(protocols)} if protocols else {}
    client.send(wire.upgrade_request(path, **fields))
    client.response = client.read_response()
    assert client.response.status == 101
    if protocols:
        client.welcome = read_type(client, "welcome")
    return client


def numbered(count=COUNT):
    return [f"{number:06}".ljust(SIZE, ".") for number in range(count)]


def publish_all(client, texts):
    """Publishes from a JSON client; returns the ids."""
    return [publish(client, text)["id"] for text in texts]


# A client that is slower than the room

@pytest.mark.parametrize("protocols", [[], [JSON]], ids=["raw", "json"])
def test_slow_client_gets_all_from_the_history(server, protocols):
    path = f"/long?k={len(protocols)}"
    speaker = join(server, path)
    slow = slow_client(server, path, protocols)
    texts = numbered()
    publish_all(speaker, texts)
    for text in texts:
        if protocols:
            assert read_data(slow) == [text]
        else:
            slow.expect_text(text)
    send_text(speaker, "live")
    if protocols:
        assert read_data(slow) == ["live"]
    else:
        slow.expect_text("live")
    slow.leave()
    slow.disconnect()
    entry = server.wait_for_access_log(
        websocket_client=str(slow.welcome["client"])) if protocols else (
            server.wait_for_access_log())
    assert int(entry["websocket_dropped"]) > 0, "the client was not slow"


@pytest.mark.parametrize("path", ["/short?k=gap", "/none?k=gap"])
def test_slow_json_client_gets_a_gap(server, path):
    speaker = join(server, path)
    slow = slow_client(server, path, [JSON])
    texts = numbered()
    ids = publish_all(speaker, texts)
    known = dict(zip(ids, texts))
    received, gaps = [], []
    kept = 50 if "short" in path else 0

    def read_until(reached):
        """More messages, and gaps, are possible while the worker still
        delivers."""
        while not reached():
            found = read(slow)
            if found["type"] == "gap":
                gaps.append(len(received))
            else:
                received.append(found)

    read_until(lambda: gaps and (not kept or received[-1]["id"] == ids[-1]))
    publish(speaker, "live")
    read_until(lambda: received and received[-1]["data"] == "live")
    received.pop()
    numbers = [sequence(each["id"]) for each in received]
    missing = gaps[0]
    assert numbers[:missing] == list(range(1, missing + 1))
    assert numbers == sorted(set(numbers)) and len(numbers) < COUNT
    assert not kept or numbers[-kept:] == list(
        range(COUNT - kept + 1, COUNT + 1))
    assert all(known[each["id"]] == each["data"] for each in received)


@pytest.mark.parametrize("path", ["/short?k=raw", "/none?k=raw"])
def test_slow_raw_client_is_closed_rather_than_left_with_a_gap(server, path):
    speaker = join(server, path)
    slow = slow_client(server, path)
    texts = numbered()
    publish_all(speaker, texts)
    for text in texts:
        frame = slow.read_frame()
        if frame.opcode == wire.CLOSE:
            break
        assert frame.payload.decode() == text
    assert frame.close_code == 1013
    assert frame.close_reason == "messages were lost"
    slow.close(1013)
    slow.expect_eof()


def test_slow_client_of_default_policy_is_closed(server):
    speaker = join(server, "/close")
    slow = slow_client(server, "/close")
    publish_all(speaker, numbered())
    frame = slow.read_frame()
    while frame.opcode != wire.CLOSE:
        frame = slow.read_frame()
    assert frame.close_code == 1013


def test_slow_client_does_not_slow_down_others(server):
    path = "/none?k=others"
    speaker = join(server, path)
    slow = slow_client(server, path, [JSON])
    other = connect_to(server, worker_of(slow), path)
    for text in numbered():
        publish(speaker, text)
        other.expect_text(text)
    slow.abort()


def test_slow_client_gets_the_count_of_clients(server):
    """It got no events for clients that left while it read the history."""
    path = "/informed?k=1"
    speaker = join(server, path)
    slow = slow_client(server, path, [JSON])
    read_type(speaker, "joined")
    texts = numbered()
    for text in texts:
        publish(speaker, text)
    guests = [join(server, path) for _ in range(3)]
    guests[0].disconnect()
    kinds = [read(speaker)["type"] for _ in range(4)]
    assert kinds == ["joined"] * 3 + ["left"]
    assert read_data(slow, COUNT) == texts
    assert read(slow) == {"type": "joined", "client": None, "clients": 4}
    guests[1].disconnect()
    assert read(slow) == {"type": "left", "clients": 3,
                          "client": guests[1].welcome["client"]}


def test_slow_client_does_not_get_its_own_messages(server):
    path = "/quiet?k=1"
    speaker = join(server, path)
    slow = slow_client(server, path, [JSON])
    texts = numbered()
    for index, text in enumerate(texts):
        send_text(speaker, text, ref=index)
        read_type(speaker, "published")
    slow.binary("own")  # it is read when the send queue has space for its reply
    assert read_data(slow, COUNT) == texts
    assert "base64" in read_type(speaker, "message")
    slow.expect_alive()


def test_burst_does_not_make_a_client_slow(server):
    """A worker that was stopped delivers many messages at once. Clients that
    read them are not slow."""
    path = "/burst"
    speaker = join(server, path)
    pid = next(pid for pid in server.worker_pids()
               if pid != worker_of(speaker))
    reader = connect_to(server, pid, path)
    reader.socket.setblocking(False)
    texts = [f"{number:06}".ljust(1000, ".") for number in range(90)]
    with worker_probe.stopped(pid):
        publish_all(speaker, texts)
    for text in texts:
        reader.expect_text(text)
    reader.expect_alive()


# A worker slower than the shared memory

def test_clients_of_a_stopped_worker_get_a_gap(tiny):
    tiny.allow_errors("messages of room .* were lost")
    speaker = join(tiny, "/none?k=frozen")
    pid = next(pid for pid in tiny.worker_pids()
               if pid != worker_of(speaker))
    late = join(tiny, "/none?k=frozen", pid)
    raw = connect_to(tiny, pid, "/none?k=frozen")
    with worker_probe.stopped(pid):
        ids = publish_all(speaker, [f"{number:04}" * 100
                                    for number in range(2000)])
    assert read(late) == {"type": "gap"}
    found = read_type(late, "message")
    first = sequence(found["id"])
    assert 1 < first <= 2000
    for number in range(first + 1, 2001):
        found = read_type(late, "message")
        assert sequence(found["id"]) == number
    assert found["id"] == ids[-1]
    raw.expect_failure(1013, "messages were lost")
    publish(speaker, "live")
    assert read_data(late) == ["live"]


def test_clients_of_a_stopped_worker_get_the_count(tiny):
    tiny.allow_errors("messages of room .* were lost")
    speaker = join(tiny, "/informed?k=frozen")
    pid = next(pid for pid in tiny.worker_pids()
               if pid != worker_of(speaker))
    leaving = join(tiny, "/informed?k=frozen", worker_of(speaker))
    late = join(tiny, "/informed?k=frozen", pid)
    while read(speaker) != {"type": "joined", "clients": 3,
                            "client": late.welcome["client"]}:
        pass
    with worker_probe.stopped(pid):
        leaving.disconnect()
        assert read_type(speaker, "left")["clients"] == 2
        for number in range(2000):
            send_text(speaker, f"{number:04}" * 100)
            read_type(speaker, "message")
    # Events of the other worker's clients may be sent late
    while (first := read(late)["type"]) in ("joined", "left"):
        pass
    assert first == "gap"
    while (found := read(late))["type"] == "message":
        pass
    assert found == {"type": "left", "client": None, "clients": 2}


def test_history_that_the_memory_does_not_hold(tiny):
    speaker = join(tiny, "/long?k=lost")
    ids = publish_all(speaker, [f"{number:04}" * 100
                                for number in range(2000)])
    back = join(tiny, f"/long?k=lost&since={ids[0]}")
    assert back.welcome["recovered"] is False
    assert back.welcome["last"] == ids[-1]
    first = sequence(read_type(back, "message")["id"])
    assert 2 < first < 2000
    for number in range(first + 1, 2001):
        assert sequence(read_type(back, "message")["id"]) == number
    raw = tiny.connect(f"/long?k=lost&since={ids[0]}")
    raw.expect_failure(1013, "no longer kept")
    raw = tiny.connect(f"/long?k=lost&since={ids[-2]}")
    raw.expect_text("1999" * 100)
    raw.expect_alive()


def test_message_larger_than_the_memory_is_refused(tiny):
    tiny.allow_errors("no memory for 900000 bytes")
    client = join(tiny, "/none?k=room")
    other = tiny.connect("/none?k=room")
    reason = "shared memory is full"
    large = "x" * 900000
    send_text(client, large)
    assert read(client) == {"type": "error", "message": reason}
    send_text(client, large, ref=[5])
    assert read(client) == {"type": "error", "ref": [5], "message": reason}
    client.binary(large)
    assert read(client) == {"type": "error", "message": reason}
    publish(client, "goes on")
    other.expect_text("goes on")
    other.text(large)
    other.expect_failure(1013, reason)
    raw = tiny.connect("/none?k=room")
    raw.binary(large)
    raw.expect_failure(1013, reason)
    publish(client, "still")
    tiny.wait_for_log("no memory for 900000 bytes of room", seconds(5))
