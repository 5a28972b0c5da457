"""A channel of Redis is read later than the replies to commands: nothing is
lost, and its messages do not wait behind many clients."""

import threading

from hosts import Host, shard_of
from nginx_server import seconds
from room_client import read_type
from strace import RECEIVING, traced
from worker_probe import only_worker, stopped

LOCATIONS = """
location /large { websocket room large self=off; }
location /kept { websocket room $arg_k history=5; }
location /publish { websocket_publish room large; }
"""

LARGE = "x" * 1_000_000
MEMORY = ("websocket_shared_memory 1g; websocket_room_memory 256m; "
          "websocket_send_queue 256m;")
PATIENT = "connect_timeout=20s command_timeout=20s"


def test_handshakes_beside_large_messages_lose_none(hosts):
    """Each handshake waits until its host has all entries of the shard. Redis
    may have removed some from the log that the channel still brings."""
    group = hosts(LOCATIONS, count=1, http=MEMORY, options=PATIENT)
    leader = group[0].wait_for_leader()
    worker = 1 - group[0].pids().index(leader)
    publisher = group[0].connect("/large", worker)
    listener = group[0].join("/large", 1 - worker)
    same_shard = next(name for name in map(str, range(1000))
                      if shard_of(f"room:{name}") == shard_of("room:large"))

    def publish():
        for _ in range(100):
            publisher.text(LARGE)

    def listen():
        for _ in range(100):
            read_type(listener, "message", seconds(30))

    threads = [threading.Thread(target=call) for call in (publish, listen)]
    for each in threads:
        each.start()
    while threads[0].is_alive():
        Host.join(group[0], f"/kept?k={same_shard}", 1 - worker).disconnect()
    for each in threads:
        each.join()
    publisher.expect_alive()
    listener.expect_alive()
    assert "no longer has" not in group[0].server.log()


def test_large_messages_of_other_hosts_are_read_in_few_turns(hosts):
    """Other clients have turns in between."""
    group = hosts(LOCATIONS, workers=1, http=MEMORY, options=PATIENT)
    listener = group[1].join("/large")
    pid = only_worker(group[1].server)
    with traced(pid, group[1].server.prefix) as trace:
        with stopped(pid):
            for _ in range(2):
                group[0].post("/publish", LARGE)
        for _ in range(2):
            read_type(listener, "message", seconds(20))
    turns = trace.bytes_per_turn(RECEIVING)
    most = max(max(turn.values(), default=0) for turn in turns)
    assert most > 48 * 1024
