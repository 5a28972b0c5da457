"""Data of one client must not delay others by more than a turn, including
inflating, compressing and replying.

A stopped worker that continues finds all data on its sockets at once. strace
then shows its sends and their order.
"""

import collections
import random
import time
import zlib

import pytest

import wire
from deflating_peer import DeflatingPeer
from key_update_client import KeyUpdateClient
from memory_tls_client import MemoryTlsClient
from strace import SENDING, traced
from tls_client import client_context
from worker_probe import only_worker, stopped

pytestmark = pytest.mark.alone

MEBIBYTE = 1 << 20
LOCATIONS = """
websocket_deflate on;
location /echo { websocket echo; }
location /slow { websocket echo; websocket_deflate_comp_level 9; }
location /slow_alone {
    websocket echo;
    websocket_deflate_comp_level 9; websocket_deflate_context_takeover on;
}
location /room {
    websocket room big; websocket_max_message_size 2m;
    websocket_deflate_context_takeover on;
}
location /slow_room { websocket room slow; websocket_deflate_comp_level 9; }
"""
TLS_SERVER = """
server {
    listen 127.0.0.1:%%PORT1%% ssl rcvbuf=4m sndbuf=4m;
    ssl_certificate %%PREFIX%%/localhost.crt;
    ssl_certificate_key %%PREFIX%%/localhost.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    location /echo { websocket echo; }
}
"""
DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]
BOMBS = 40


@pytest.fixture(scope="module")
def server(module_nginx):
    """A server whose sockets hold a whole flood before the worker reads it."""
    return module_nginx(LOCATIONS, tls=True, listen="rcvbuf=4m sndbuf=4m",
                        servers=TLS_SERVER, ports=1)


def compressed(payload):
    """The payload of a compressed message."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(payload)
            + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def compressed_at(text, level):
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    return packer.compress(text.encode()) + packer.flush(zlib.Z_SYNC_FLUSH)


def inflated(payload):
    return zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")


def sent_before_others(trace, others):
    """The bytes sent to the flooder before all other clients have a reply, and
    in total. The flooder is the client with the most bytes."""
    sent = [(call.descriptor, call.result) for call in trace.of(SENDING)
            if call.result > 0]
    totals = {descriptor: sum(size for found, size in sent
                              if found == descriptor)
              for descriptor, _ in sent}
    flooder = max(totals, key=totals.get)
    assert len(totals) == others + 1, totals
    before, answered = 0, set()
    for descriptor, size in sent:
        if descriptor == flooder:
            before += size
        else:
            answered.add(descriptor)
        if len(answered) == others:
            return before, totals[flooder]
    raise AssertionError("not all were answered")


@pytest.mark.parametrize("path", ["/echo", "/slow"])
@pytest.mark.parametrize("kind, payload", [
    (wire.BINARY, bytes(MEBIBYTE)),
    (wire.TEXT, "é".encode() * (MEBIBYTE // 2)),
], ids=["binary", "text"])
def test_bombs_do_not_delay_others_by_more_than_a_turn(
        server, path, kind, payload):
    flooder = server.connect(path, headers=DEFLATE)
    others = [server.connect("/echo") for _ in range(5)]
    bomb = wire.frame(kind, compressed(payload), rsv=4)
    pid = only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            flooder.send(bomb * BOMBS, duplex=False)
            for other in others:
                other.text("waits")
        for other in others:
            other.expect_text("waits")
        for _ in range(BOMBS):
            reply = flooder.read_frame()
            assert reply.opcode == kind and reply.rsv == 4
            assert inflated(reply.payload) == payload
    before, total = sent_before_others(trace, len(others))
    # The others are read in the same turn of the event loop as the flood
    assert before <= 4 * total / BOMBS, (before, total)


def test_rest_of_a_turn_is_read_first(server):
    """Bombs, small messages, fragments and Pings in one stream."""
    client = server.connect(headers=DEFLATE)
    payload = bytes(300000)
    bomb = wire.frame(wire.BINARY, compressed(payload), rsv=4)
    part = (bomb + wire.text("small") + wire.ping(b"p")
            + wire.fragments(wire.TEXT, *["x"] * 500)
            + wire.fragments(wire.TEXT, "end", "less"))
    client.send(part * 30)
    for _ in range(30):
        assert inflated(client.read_frame().payload) == payload
        client.expect_text("small")
        client.expect_pong(b"p")
        frame = client.read_frame()
        got = inflated(frame.payload) if frame.rsv else frame.payload
        assert got == b"x" * 500
        client.expect_text("endless")
    client.leave()


def test_peer_that_has_sent_a_flood_and_ends_gets_all_replies(server):
    client = server.connect(headers=DEFLATE)
    payload = bytes(MEBIBYTE)
    client.send(wire.frame(wire.BINARY, compressed(payload), rsv=4) * BOMBS,
                duplex=False)
    client.half_close()
    for _ in range(BOMBS):
        assert inflated(client.read_frame().payload) == payload
    client.expect_eof()


def read_before_others(trace, others):
    """The bytes read from the flooder before all other clients have a reply,
    and in total. The flooder is the client with the most bytes."""
    reads = collections.Counter()
    before, answered = 0, set()
    for call in trace.of(SENDING | {"read"}):
        if call.name == "read":
            reads[call.descriptor] += max(call.result, 0)
        elif call.result > 0:
            answered.add(call.descriptor)
        if len(answered) == others and not before:
            before = max(reads.values())
    return before, max(reads.values())


def test_tiny_records_do_not_delay_others_by_more_than_a_turn(server):
    """Each TLS record must be decrypted, however small it is."""
    flooder = MemoryTlsClient(server.ports[0], client_context())
    flooder.send(wire.upgrade_request("/echo"))
    flooder.run(flooder.tls.read, 65536)
    others = [server.connect("/echo") for _ in range(5)]
    messages = wire.text("x" * 94) * 300
    for byte in messages:
        flooder.tls.write(bytes([byte]))
    pid = only_worker(server)
    with traced(pid, server.prefix, also={"read"}) as trace:
        with stopped(pid):
            flooder.flush()
            for other in others:
                other.text("waits")
        for other in others:
            other.expect_text("waits")
        replies = 300 * len(wire.text("x" * 94, mask=None))
        while replies > 0:
            replies -= len(flooder.run(flooder.tls.read, 65536))
    before, flood = read_before_others(trace, len(others))
    assert flood >= 20 * len(messages), "no flood"
    # A turn has about 1,024 records, because the clock is read after that many.
    # The others are read in the turn after the one in which the flood begins
    assert before <= flood / 2, (before, flood)


def test_padded_records_do_not_delay_others_by_more_than_a_turn(server):
    """A record with one byte of data may be padded to 16 KB, which must be
    decrypted."""
    flooder = KeyUpdateClient(server.ports[0], "/echo", record_size=16384)
    others = [server.connect("/echo") for _ in range(5)]
    message = wire.text("x" * 44)
    pid = only_worker(server)
    with traced(pid, server.prefix, also={"read"}) as trace:
        with stopped(pid):
            for byte in message * 3:
                flooder.send(bytes([byte]))
            for other in others:
                other.text("waits")
        for other in others:
            other.expect_text("waits")
        replies = b""
        while len(replies) < 3 * len(wire.text("x" * 44, mask=None)):
            replies += flooder.read()
    flooder.end()
    assert replies == wire.text("x" * 44, mask=None) * 3
    before, flood = read_before_others(trace, len(others))
    assert flood >= 16384 * len(message) * 3, "no flood"
    assert before <= flood / 2, (before, flood)


def test_large_broadcast_is_compressed_for_the_first_clients(server):
    """With context takeover, each client needs its own compression."""
    peers = [DeflatingPeer(server, "/room") for _ in range(20)]
    large = "".join(f'{{"id":{i}}},' for i in range(100000))[:MEBIBYTE]
    for index in range(3):
        peers[0].client.send(wire.text(large))
        read = [peer.read() for peer in peers]
        assert all(got[:2] == (wire.TEXT, large.encode()) for got in read)
        assert 1 <= [got[2] for got in read].count(True) <= 3
        # A small message is compressed for all clients, and refers to earlier
        # data.
        small = f"message {index} to all of you " * 50
        peers[0].client.text(small)
        for peer in peers:
            peer.expect(small)


def test_large_broadcast_is_compressed_for_the_first_windows(server):
    """Without context takeover, each window size needs its own compression."""
    peers = [DeflatingPeer(server, "/room", "permessage-deflate; "
                           "server_no_context_takeover; "
                           f"server_max_window_bits={bits}")
             for bits in range(9, 16)]
    large = "".join(f'{{"id":{i}}},' for i in range(100000))[:MEBIBYTE]
    for _ in range(3):
        peers[0].client.send(wire.text(large))
        read = [peer.read() for peer in peers]
        assert all(got[:2] == (wire.TEXT, large.encode()) for got in read)
        assert 1 <= [got[2] for got in read].count(True) <= 3
        peers[0].client.text("small " * 50)
        for peer in peers:
            peer.expect("small " * 50)


def cpu_time(pid):
    """The CPU time of the worker in nanoseconds."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0])


@pytest.mark.parametrize("size", [8000, 26000, 60000, 200000])
def test_text_that_zlib_finds_hard_costs_little_more_at_level_9(server, size):
    """For random text of two letters, level 9 takes a hundred times as long as
    level 1."""
    digits = random.Random(1)
    hard = "".join(digits.choice("ab") for _ in range(size))
    pid = only_worker(server)
    costs = []
    for path, count in (("/echo", 320000 // size), ("/slow", 2)):
        peer = DeflatingPeer(server, path)
        began = cpu_time(pid)
        for _ in range(count):
            peer.send(hard)
            peer.expect(hard)
        costs.append((cpu_time(pid) - began) / count)
    # A message at any level takes little longer than 1 MB at level 1
    assert costs[1] / costs[0] < 3 * MEBIBYTE / size, costs


def time_at_level_9(texts):
    """The CPU time of zlib in nanoseconds, the shortest of three."""
    times = []
    for _ in range(3):
        began = time.process_time_ns()
        for text in texts:
            compressed_at(text, 9)
        times.append(time.process_time_ns() - began)
    return min(times)


@pytest.mark.parametrize("size", [4000, 6000])
def test_hard_broadcasts_cost_a_fraction_of_level_9(server, size):
    """Compression for all clients uses the budget of a turn."""
    digits = random.Random(1)
    hard = ["".join(digits.choices("ab", k=size)) for _ in range(64)]
    pid = only_worker(server)
    speaker = server.connect("/slow_room")
    peer = DeflatingPeer(server, "/slow_room")
    began = cpu_time(pid)
    with stopped(pid):
        speaker.send(b"".join(wire.text(text) for text in hard))
    for text in hard:
        peer.expect(text)
    cost = cpu_time(pid) - began
    assert cost < 0.3 * time_at_level_9(hard)


@pytest.mark.parametrize("path", ["/slow", "/slow_alone"])
def test_level_falls_with_the_size_of_a_message(server, path):
    """Level 9 may take a hundred times as long as level 1."""
    peer = DeflatingPeer(server, path)
    unit = "".join(f'{{"id":{i * i % 1009},"n":{i}}},' for i in range(50000))
    for size, level in ((5000, 9), (14000, 8), (50000, 7), (85000, 6),
                        (400000, 4), (700000, 1), (5000, 9)):
        peer.send(unit[:size])
        frame = peer.client.read_frame()
        assert peer.decompress(frame.payload) == unit[:size].encode()
        sizes = {tried: len(compressed_at(unit[:size], tried))
                 for tried in (1, 4, 6, 7, 8, 9)}
        if path == "/slow":
            assert len(frame.payload) == pytest.approx(sizes[level], rel=0.01)
