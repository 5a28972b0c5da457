"""Clients that do not read: bounded memory, no lost reply, and the policies of
websocket_send_queue."""

import json

import pytest

import wire
from deflating_peer import RSV1, DeflatingPeer
from nginx_server import seconds
from room_client import JSON, join, read_data, read_type, send_text
from tuned_client import (TIGHT_LISTEN, connect_tight, framed, numbered,
                          open_tuned, send_until_refused)
from worker_probe import assert_no_growth, memory, only_worker, stopped

LOCATIONS = """
location /echo { websocket echo; }
location /64k { websocket echo; websocket_send_queue 64k; }
"""
CRAMMED = """
limit_rate 100;
websocket_max_message_size 8k;
location /close { websocket echo; websocket_send_queue 8k close; }
location /late { websocket echo; websocket_send_queue 8k close;
                 websocket_close_timeout 500ms; }
location /drop { websocket echo; websocket_send_queue 8k drop; }
"""
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, listen=TIGHT_LISTEN)


@pytest.fixture(scope="module")
def roomy_server(module_nginx):
    """A server with the kernel's default buffer sizes."""
    return module_nginx(LOCATIONS)


@pytest.fixture(scope="module")
def crammed_server(module_nginx):
    """A server that reads many frames together with the handshake."""
    return module_nginx(CRAMMED, http="client_header_buffer_size 1m;")


# nginx stops reading from a client that does not read

@pytest.mark.parametrize("path", ["/64k", "/echo"])
@pytest.mark.parametrize("size", [20, 1000, 3000, 16384, 100000])
def test_late_reader_gets_all_replies_in_order(server, path, size):
    messages = numbered(min(50000, 3 * MEBIBYTE // size), size)
    data = framed(messages)
    client = connect_tight(server, path)
    sent = send_until_refused(client, data)
    assert sent < len(data), "nginx did not stop reading"
    client.send(data[sent:])
    for message in messages:
        client.expect_text(message)
    client.leave()
    client.disconnect()
    entry = server.wait_for_access_log()
    assert entry["websocket_messages_in"] == str(len(messages))
    assert entry["websocket_messages_out"] == str(len(messages))
    assert entry["websocket_dropped"] == "0"


def test_late_reader_gets_all_replies_over_roomy_sockets(roomy_server):
    messages = numbered(300, 100000)
    data = framed(messages)
    client = roomy_server.connect()
    sent = send_until_refused(client, data)
    assert sent < len(data), "nginx did not stop reading"
    client.send(data[sent:])
    for message in messages:
        client.expect_text(message)


def test_unread_replies_take_little_memory(server):
    pid = only_worker(server)
    data = framed(numbered(4000, 1000))
    for client in [connect_tight(server, "/64k") for _ in range(2)]:
        send_until_refused(client, data)  # the worker keeps buffers for reuse
        client.disconnect()
    before = memory(pid)
    clients = [connect_tight(server, "/64k") for _ in range(10)]
    for client in clients:
        assert send_until_refused(client, data, 0.1) < MEBIBYTE
    grown = memory(pid) - before
    # Half the queue, the replies to one turn of reading, and block ends
    assert grown < 10 * 256 * 1024, f"{grown // 10} bytes per client"


def test_memory_of_the_queue_is_given_back(server):
    pid = only_worker(server)
    data = framed(numbered(4000, 1000))

    def round_of_late_readers():
        clients = [connect_tight(server, "/echo") for _ in range(4)]
        for client in clients:
            send_until_refused(client, data, 0.1)
        for client in clients:
            client.abort()
        server.release_clients()
        return memory(pid)

    assert_no_growth([round_of_late_readers() for _ in range(3)],
                     512 * 1024)


def test_unread_pongs_are_bounded(server):
    client = connect_tight(server, "/64k")
    data = wire.ping(b"p" * 125) * 40000
    sent = send_until_refused(client, data)
    assert sent < MEBIBYTE
    client.send(data[sent:])
    for _ in range(40000):
        client.expect_pong(b"p" * 125)


def test_half_close_of_late_reader_loses_no_reply(server):
    messages = numbered(60, 1000)
    client = connect_tight(server)
    client.send(framed(messages), duplex=False)
    client.half_close()
    for message in messages:
        client.expect_text(message)
    client.expect_eof()


def test_close_of_late_reader_follows_all_replies(server):
    messages = numbered(60, 1000)
    client = connect_tight(server)
    client.send(framed(messages) + wire.close(1000), duplex=False)
    for message in messages:
        client.expect_text(message)
    client.expect_close(1000)
    client.expect_eof()


# A slow reader does not delay a fast one

def test_late_reader_does_not_disturb_others(server):
    stuck = [connect_tight(server, "/echo") for _ in range(5)]
    data = framed(numbered(4000, 1000))
    for client in stuck:
        send_until_refused(client, data, 0.1)
    other = server.connect()
    for index in range(500):
        other.text(str(index))
        other.expect_text(str(index))


# Large messages

def test_sixteen_messages_of_a_mebibyte_in_flight_are_echoed(roomy_server):
    messages = [bytes([index]) * MEBIBYTE for index in range(16)]
    client = roomy_server.connect()
    client.send(map(wire.binary, messages))
    for message in messages:
        client.expect_binary(message)


def mixed_messages():
    """Large messages, each followed by small ones."""
    for index in range(8):
        yield wire.BINARY, bytes([index]) * MEBIBYTE
        for part in range(100):
            yield wire.TEXT, f"{index} {part}".encode()


def in_fragments(opcode, payload, size):
    """The frames of one message, each of at most so many bytes."""
    parts = [payload[at:at + size] for at in range(0, len(payload), size)]
    return wire.fragments(opcode, *parts)


@pytest.mark.parametrize("fragment", [4000, 128 * 1024])
@pytest.mark.parametrize("kind", ["tight", "roomy"])
def test_small_messages_after_large_ones_are_echoed(request, kind, fragment):
    chosen = request.getfixturevalue(
        "server" if kind == "tight" else "roomy_server")
    data = b"".join(in_fragments(opcode, payload, fragment)
                    for opcode, payload in mixed_messages())
    client = connect_tight(chosen) if kind == "tight" else chosen.connect()
    sent = send_until_refused(client, data)
    client.send(data[sent:])
    for opcode, payload in mixed_messages():
        client.expect(opcode, payload, seconds(10))


# Clients from which the server stops reading for some time

def test_message_sent_while_the_queue_fills_is_answered(nginx):
    """The message of another client fills this client's queue, which is empty
    again in the turn in which this client's own message arrives."""
    server = nginx("location /room { websocket room room;"
                   " websocket_send_queue 64k; }")
    filler, client = join(server, "/room"), server.connect("/room")
    large = "x" * 50000
    with stopped(only_worker(server)):
        send_text(filler, large, ref=1)
        client.text("asked meanwhile")
    client.expect_text(large)
    client.expect_text("asked meanwhile")
    assert read_data(filler) == [large]
    read_type(filler, "published")
    assert read_data(filler) == ["asked meanwhile"]


def test_reading_continues_while_replies_are_compressed(nginx):
    """The replies follow published messages as large as half of the queue.
    Compressed, all of them have few bytes."""
    server = nginx("location /room { websocket room room; websocket_deflate "
                   "on; websocket_ping_interval off; }")
    peer = DeflatingPeer(server, "/room", subprotocols=[JSON])
    assert json.loads(peer.read()[1])["type"] == "welcome"
    asked = ["a" * 700000] * 2 + ["b"]
    peer.client.send(b"".join(
        wire.frame(wire.TEXT, peer.compress(
            json.dumps({"data": "x", "ref": ref}).encode()), rsv=RSV1)
        for ref in asked))
    for ref in asked:
        assert json.loads(peer.read()[1])["data"] == "x"
        assert json.loads(peer.read()[1])["ref"] == ref


# The policies for a full queue. Replies to messages that arrived with the
# handshake follow the 101, which limit_rate delays.

# Messages so large that the first part of a turn, which no time limit ends, has
# too many of them
PIPELINED = numbered(8, 5000)


def connect_with_full_queue(server, path):
    """A client whose queue is full in its first turn."""
    client = open_tuned(server)
    with stopped(only_worker(server)):
        client.send(wire.upgrade_request(path) + framed(PIPELINED),
                    duplex=False)
    assert client.read_response().status == 101
    return client


def expect_messages(client):
    """Reads text messages; returns their number and the next other frame."""
    count, number = 0, -1
    while True:
        frame = client.read_frame()
        if frame.opcode != wire.TEXT:
            return count, frame
        before, number = number, int(frame.payload.rstrip(b"."))
        assert before < number and frame.payload.decode() == PIPELINED[number]
        count += 1


def test_full_queue_drops_the_newest_and_counts_them(crammed_server):
    client = connect_with_full_queue(crammed_server, "/drop")
    client.ping(b"after")
    count, frame = expect_messages(client)
    assert (frame.opcode, frame.payload) == (wire.PONG, b"after")
    assert count < len(PIPELINED)
    client.text("taken again")
    client.expect_text("taken again")
    client.disconnect()
    entry = crammed_server.wait_for_access_log()
    assert entry["websocket_messages_in"] == str(len(PIPELINED) + 1)
    assert entry["websocket_messages_out"] == str(count + 1)
    assert entry["websocket_dropped"] == str(len(PIPELINED) - count)
    assert "dropping messages" in crammed_server.log()


def test_full_queue_closes_with_1013(crammed_server):
    client = connect_with_full_queue(crammed_server, "/close")
    count, frame = expect_messages(client)
    assert count < len(PIPELINED)
    assert (frame.opcode, frame.close_code) == (wire.CLOSE, 1013)
    client.close(1013)
    client.expect_eof()
    client.disconnect()
    entry = crammed_server.wait_for_access_log()
    assert entry["websocket_close_code"] == "1013"
    assert entry["websocket_close_by"] == "server"
    assert int(entry["websocket_dropped"]) > 0


def test_full_queue_closes_a_client_that_never_answers(crammed_server):
    client = connect_with_full_queue(crammed_server, "/late")
    expect_messages(client)
    entry = crammed_server.wait_for_access_log(timeout=3)
    assert entry["websocket_close_code"] == "1013"
    client.expect_eof()
