"""The cost of compression: one compression for many clients, and no memory for
idle clients."""

import random

import pytest

import wire
from deflating_peer import DeflatingPeer
from nginx_server import seconds, wait_until
from preload import preloaded
from worker_probe import (memory, memory_is_exact, only_worker,
                          stopped)

PLAIN = "permessage-deflate"
LOCATIONS = """
location /plain { websocket echo; }
location ~ ^/room/(?<name>.*) { websocket room $name; websocket_deflate on; }
location ~ ^/kept/(?<name>.*) {
    websocket room $name;
    websocket_deflate on; websocket_deflate_context_takeover on;
}
location ~ ^/hard/(?<name>.*) {
    websocket room $name;
    websocket_deflate on; websocket_deflate_comp_level 9;
    websocket_send_queue 4m;
}
location /turns {
    websocket room turns;
    websocket_deflate on; websocket_deflate_context_takeover on;
    websocket_deflate_comp_level 9; websocket_deflate_window 9;
}
location /deflated { websocket echo; websocket_deflate on; }
location /clock { return 200 $msec; }
"""
# For each level: the size of a message, and the most nanoseconds that zlib
# takes for a byte of the worst text found (t/bench/deflate_bench.cpp).
WORST = {1: (20000, 25), 2: (20000, 37), 3: (20000, 80), 4: (20000, 46),
         5: (20000, 82), 6: (5000, 254), 7: (5000, 434), 8: (4200, 1406),
         9: (4200, 3850)}
LOCATIONS += "".join(f"""
location /level{level} {{
    websocket room level{level};
    websocket_deflate on; websocket_deflate_context_takeover on;
    websocket_deflate_comp_level {level};
}}""" for level in WORST)


@pytest.fixture(scope="module")
def server(module_nginx, run_folder):
    """An nginx with server.compressed(), the bytes that zlib has compressed."""
    with preloaded(run_folder, "deflate_counter") as preload:
        with preload.environment():
            running = module_nginx(LOCATIONS)
        running.compressed = lambda: preload.number
        yield running


def wait_for_interval(server):
    """Waits until the budget of a later millisecond is in use. nginx reads the
    clock of `$msec` together with that of the budget."""
    def clock():
        request = b"GET /clock HTTP/1.1\r\nHost: a\r\n\r\n"
        return float(server.request(request).body)
    before = clock()
    wait_until(lambda: clock() > before + 0.0015, seconds(5), "2 ms")


def publish(server, peers, text):
    """Sends one message through a room; returns how often it was compressed."""
    before = server.compressed()
    peers[0].client.text(text)
    for peer in peers:
        assert peer.expect(text, compressed=peer.agreed) == wire.TEXT
    return (server.compressed() - before) / len(text)


@pytest.mark.parametrize("offers, size, times", [
    ([PLAIN] * 50, 200, 1),
    ([PLAIN] * 20 + [""] * 20, 200, 1),
    ([PLAIN, PLAIN + "; server_max_window_bits=9"] * 10, 100, 1),
    ([PLAIN, PLAIN + "; server_max_window_bits=9"] * 10, 20000, 2),
    ([f"{PLAIN}; server_max_window_bits={bits}" for bits in range(9, 16)] * 3,
     40000, 7),
    ([""] * 5, 200, 0),
], ids=["alike", "some-without", "small-windows", "two-windows", "all-windows",
        "none"])
def test_broadcast_is_compressed_once_for_each_window(
        server, request, offers, size, times):
    path = "/room/" + request.node.callspec.id
    peers = [DeflatingPeer(server, path, offer) for offer in offers]
    for index in range(3):
        text = (f"message {index} to all of you " * size)[:size]
        assert publish(server, peers, text) == times


def test_clients_with_context_takeover_get_their_own(server):
    peers = [DeflatingPeer(server, "/kept/own") for _ in range(5)]
    assert all(peer.agreed and not peer.terms for peer in peers)
    for index in range(3):
        assert publish(server, peers, f"message {index} to you " * 10) == 5


def test_deflaters_are_created_over_several_turns(server):
    """Each turn takes up to 1 ms and 200 KB for them. A client without a
    deflater receives the message uncompressed."""
    peers = [DeflatingPeer(server, "/kept/many") for _ in range(120)]
    text = "to all of you " * 40
    counts = []
    while not counts or counts[-1] < len(peers):
        peers[0].client.text(text)
        messages = [peer.read() for peer in peers]
        assert {payload for _, payload, _ in messages} == {text.encode()}
        counts.append(sum(compressed for _, _, compressed in messages))
    assert counts[0] < 40
    assert counts == sorted(counts)


def test_burst_of_small_messages_is_compressed_within_a_budget(server):
    """Without a budget, each of 60 clients could have its own compression of
    each message."""
    pid = only_worker(server)
    peers = [DeflatingPeer(server, "/kept/burst") for _ in range(60)]
    texts = [f"{number} of many ".ljust(3000, ".") for number in range(64)]
    with stopped(pid):
        peers[0].client.send(b"".join(map(wire.text, texts)))
    compressed = 0
    for text in texts:
        for peer in peers:
            _, payload, was_compressed = peer.read()
            assert payload == text.encode()
            compressed += was_compressed
    assert 0 < compressed < len(texts) * len(peers)


def test_each_compression_counts_beside_its_bytes(server):
    """A short message takes some 4 us, most of it not for its bytes."""
    pid = only_worker(server)
    peers = [DeflatingPeer(server, "/kept/short") for _ in range(200)]

    def count_compressed(texts):
        """Reads the messages; how many were compressed."""
        compressed = 0
        for text in texts:
            for peer in peers:
                _, payload, was_compressed = peer.read()
                assert payload == text.encode()
                compressed += was_compressed
        return compressed

    text = "all of them have compressors ".ljust(64, ".")
    peers[0].client.text(text)
    while count_compressed([text]) < len(peers):
        peers[0].client.text(text)
    peers[0].client.text(".")
    assert count_compressed(["."]) == 0  # after cheap ones a batch is large
    texts = [f"{number} of many ".ljust(64, ".") for number in range(64)]
    with stopped(pid):
        peers[0].client.send(b"".join(map(wire.text, texts)))
    assert 0 < count_compressed(texts) < len(texts) * len(peers)


def test_clients_beyond_the_budget_take_turns(server):
    """The second budget is spent from the first client that it did not suffice
    for before."""
    peers = [DeflatingPeer(server, "/turns") for _ in range(300)]

    def which_compressed(text):
        """Sends a message to all; for each client, if it was compressed."""
        peers[0].client.text(text)
        messages = [peer.read() for peer in peers]
        assert {payload for _, payload, _ in messages} == {text.encode()}
        return [compressed for _, _, compressed in messages]

    while not all(which_compressed("all have a compressor " * 4)):
        pass
    first, second = (which_compressed(str(number).ljust(4000, "."))
                     for number in range(2))
    assert sum(first) < len(peers)
    refused = first.index(False)
    assert not any(first[refused:]) and all(second[refused:])
    assert sum(second) < refused  # the rest of the reserve is not spent
    # If it suffices, all are served
    assert all(which_compressed("short " * 20))


@pytest.mark.parametrize("level", WORST)
def test_broadcast_is_compressed_in_limited_time_at_each_level(server, level):
    """The text is not the worst: the bytes that zlib is given are counted.
    These are large messages, as small ones have a second budget."""
    size, nanoseconds = WORST[level]
    peers = [DeflatingPeer(server, f"/level{level}") for _ in range(70)]

    def count_compressed(text):
        """Sends a message to all; to how many it was compressed."""
        peers[0].client.text(text)
        messages = [peer.read() for peer in peers]
        assert {payload for _, payload, _ in messages} == {text.encode()}
        return sum(compressed for _, _, compressed in messages)

    while count_compressed("all have a compressor " * 4) < len(peers):
        pass
    wait_for_interval(server)
    before = server.compressed()
    count = count_compressed("to all of you ".ljust(size, "."))
    assert server.compressed() - before == count * size
    assert 0 < count < len(peers)
    # The last message may exceed the budget
    assert (count - 1) * size * nanoseconds < 26_000_000


@pytest.mark.parametrize("size, count", [(3000, 30), (5000, 200)])
def test_burst_beyond_the_budget_is_the_same_for_all(server, size, count):
    """A frame that was compressed for one client is sent to all with its
    window. This holds at the lower level of a used-up budget too."""
    digits = random.Random(size)
    pid = only_worker(server)
    path = f"/hard/{size}"
    peers = [DeflatingPeer(server, path) for _ in range(12)]
    texts = ["".join(digits.choices("ab", k=size)) for _ in range(count)]
    with stopped(pid):
        peers[0].client.send(b"".join(map(wire.text, texts)))
    for text in texts:
        messages = [peer.read() for peer in peers]
        assert {payload for _, payload, _ in messages} == {text.encode()}
        assert len({compressed for _, _, compressed in messages}) == 1


def test_mixed_clients_each_get_what_they_can_read(server):
    peers = ([DeflatingPeer(server, "/kept/mixed") for _ in range(2)]
             + [DeflatingPeer(server, "/kept/mixed",
                              PLAIN + "; server_no_context_takeover")
                for _ in range(4)]
             + [DeflatingPeer(server, "/kept/mixed", "") for _ in range(2)])
    for index in range(5):
        assert publish(server, peers, f"message {index} to all " * 10) == 3


def test_idle_client_without_takeover_costs_nothing_more(nginx, capsys):
    if not memory_is_exact():
        pytest.skip("under a sanitizer or valgrind memory is not exact")
    count = 400

    def per_client(path):
        server = nginx(LOCATIONS)
        pid = only_worker(server)
        text = "some words that are worth compressing " * 3

        def talk_by(number):
            for _ in range(number):
                peer = DeflatingPeer(server, path)
                peer.client.text(text)
                peer.expect(text, compressed=path != "/plain")
        talk_by(50)
        before = memory(pid, "Anonymous")
        talk_by(count)
        return (memory(pid, "Anonymous") - before) / count
    plain, deflated = per_client("/plain"), per_client("/deflated")
    with capsys.disabled():
        print(f"\nmemory per idle client: {plain:.0f} bytes, with "
              f"websocket_deflate {deflated:.0f}")
    assert deflated < plain + 300


def test_messages_inflated_one_after_the_other_keep_no_memory(nginx):
    if not memory_is_exact():
        pytest.skip("under a sanitizer or valgrind memory is not exact")
    server = nginx(LOCATIONS)
    pid = only_worker(server)
    sizes = []
    for _ in range(4):
        for _ in range(50):
            peer = DeflatingPeer(server, "/deflated")
            peer.send("x" * 100000)
            peer.expect("x" * 100000)
            peer.client.disconnect()
            server.clients.remove(peer.client)
        sizes.append(memory(pid))
    assert sizes[-1] - sizes[1] < 300 * 1024, sizes
