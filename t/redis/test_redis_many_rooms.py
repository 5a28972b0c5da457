"""A host with clients in many rooms of long names, all of one shard: a new
connection to Redis, or its loss of all data, does not delay the worker that
leads."""

import fcntl
import itertools
import socket

import pytest

import wire
from hosts import hash_of, shard_of_hash
from many_clients import need_open_files
from nginx_server import seconds, wait_until
from preload import preloaded
from room_client import JSON
from status_reader import report_of

LOCATIONS = """
location /room { websocket room $arg_k; }
location = /status { websocket_status; }
"""

MEMORY = ("websocket_shared_memory 64m; client_header_buffer_size 8k; "
          "websocket_ping_interval off;")
ROOMS = 3000

# In one turn of the event loop. Without steps it took 70 and 97 ms.
MAX_MICROSECONDS = 30_000


# select(), which other clients use, takes no descriptor from 1024.
FIRST_DESCRIPTOR = 2000


def connect_high(port):
    """Connects with a high descriptor."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        return socket.socket(fileno=fcntl.fcntl(
            link.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR))


def names(count):
    """So many long names of one shard."""
    begin = "x" * 3800
    hash_before = hash_of(f"room:{begin}")
    found = (f"{begin}{number}" for number in itertools.count()
             if shard_of_hash(hash_of(str(number), hash_before)) == 0)
    return itertools.islice(found, count)


def followed(host):
    return report_of(host.server)["redis"]["resources"]


@pytest.fixture
def occupied(hosts, run_folder):
    """(host, its preloaded library)"""
    need_open_files(2 * FIRST_DESCRIPTOR + ROOMS)
    with preloaded(run_folder, "turn_time") as preload, \
            preload.environment():
        group = hosts(LOCATIONS, count=1, workers=1, http=MEMORY)
        group.allow_redis_errors()
        clients = []
        for name in names(ROOMS):
            clients.append(connect_high(group[0].server.port))
            clients[-1].sendall(
                wire.upgrade_request(f"/room?k={name}", protocol=JSON))
        for client in clients:
            client.settimeout(seconds(20))
            assert b" 101 " in client.recv(4096)
        wait_until(lambda: followed(group[0]) == ROOMS, seconds(20), "rooms")
        preload.number = 0
        yield group[0], preload
        for client in clients:
            client.close()


def test_new_connection_to_redis_delays_nobody(occupied):
    host, preload = occupied
    before = report_of(host.server)["redis"]["reconnects"]
    for each in host.redis.subscribers():
        host.redis.client_kill(each)
    wait_until(lambda: report_of(host.server)["redis"]["reconnects"] > before
               and len(host.redis.subscribers()) == 1, seconds(20),
               "a new connection")
    late = host.join("/room?k=late")
    assert late.welcome["clients"] == 1
    assert preload.number < MAX_MICROSECONDS


def test_loss_of_all_data_delays_nobody(occupied):
    host, preload = occupied
    host.redis.flushall()
    wait_until(lambda: len(host.redis.keys("ws:*c:*")) == ROOMS, seconds(20),
               "rooms that have been read again")
    assert preload.number < MAX_MICROSECONDS
