"""`websocket_room_memory`: a resource that exceeds its share of the shared
memory loses its own oldest messages, and other resources lose none."""

import re
import threading
import time

import pytest

import wire
import worker_probe
from hosts import stream_of
from nginx_server import seconds, wait_until
from publish_client import Publisher, post
from room_client import (join, publish, read, read_data, read_type, send_text,
                         sequence)
from status_reader import report_of
from worker_picking import REUSEPORT, worker_of

LOCATIONS = """
location /room { websocket room room$arg_k history=1000; }
location /alone { websocket room alone$arg_k self=off; }
location /publish { websocket_publish room room$arg_k history=1000; }
location /status { websocket_status; }
"""
SMALL = "websocket_shared_memory 1m;"
SHARE = "websocket_room_memory 64k;"
REACHED = (r'"room:room{}" reached websocket_room_memory \({} bytes\): '
           'dropped its')
FULL = r"websocket_shared_memory is full: {} messages were dropped"
KILOBYTE = "x" * 1000
# A message takes its 1000 bytes and 64 more, in blocks of 128 bytes
IN_64K = 65536 // (9 * 128)


def start(nginx, http=SMALL + SHARE, **options):
    server = nginx(LOCATIONS, http=http, **options)
    server.allow_errors("reached websocket_room_memory")
    return server


def kept(server, key):
    """The number of messages in a room's history."""
    return Publisher(server, f"/publish?k={key}").get_state()[1]


def fill(server, key, count, text=KILOBYTE):
    sender = Publisher(server, f"/publish?k={key}")
    for _ in range(count):
        sender.post(text)


def zone_of(server):
    return report_of(server)["zone"]


def lines_of(server, key, size):
    return re.findall(REACHED.format(key, size), server.log())


def test_large_messages_of_one_room_leave_the_histories_of_others(nginx):
    server = start(nginx, workers=2, **REUSEPORT)
    for number in range(10):
        fill(server, f"quiet{number}", 20, f"words {number}")
    loud = join(server, "/room?k=loud")
    for number in range(60):
        publish(loud, f"{number:02}" * 25_000)
    for number in range(10):
        back = join(server, f"/room?k=quiet{number}&since=0")
        assert back.welcome["recovered"] is True
        assert read_data(back, 20) == [f"words {number}"] * 20
    zone = zone_of(server)
    assert zone["dropped_room_memory"] == 59
    assert zone["dropped_history"] == zone["dropped_unread"] == 0
    assert kept(server, "loud") == 1
    back = join(server, "/room?k=loud&since=0")
    assert back.welcome["recovered"] is False
    assert read_data(back) == ["59" * 25_000]


def test_room_keeps_as_many_as_its_share_holds(nginx):
    server = start(nginx)
    fill(server, "a", IN_64K)
    assert kept(server, "a") == IN_64K
    assert zone_of(server)["dropped_room_memory"] == 0
    assert not lines_of(server, "a", 65536)
    fill(server, "a", 10)
    assert kept(server, "a") == IN_64K
    assert zone_of(server)["dropped_room_memory"] == 10


def test_loss_is_one_line_of_the_log(nginx):
    server = start(nginx)
    fill(server, "%0A[alert]", IN_64K + 20)
    assert kept(server, "%0A[alert]") == IN_64K
    lines = [line for line in server.log().split("\n")
             if "websocket_room_memory" in line]
    assert len(lines) == 1 and "[warn]" in lines[0]
    assert lines_of(server, r".*", 65536)


@pytest.mark.parametrize("memory, share", [
    (SMALL, 131072), ("", 4194304), (SMALL + SHARE, 65536)],
    ids=["an eighth", "an eighth of the default", "given"])
def test_share(nginx, memory, share):
    server = start(nginx, memory + "client_max_body_size 8m;"
                   "websocket_max_message_size 8m;")
    server.allow_errors("no memory for")
    join(server, "/room?k=a")
    sender = Publisher(server, "/publish?k=a")
    sender.post("x" * (share - 64), clients=1)
    answer = sender.ask("POST", body="x" * (share - 63))
    assert answer.status == 507
    assert kept(server, "a") == 1


@pytest.mark.parametrize("share, publishers, count, size", [
    ("8k", 1, 1000, 500), ("8k", 8, 100, 500), ("64k", 1, 100, 10_000),
    ("4m", 12, 5, 900_000),
])
def test_burst_costs_others_of_the_worker_no_message(nginx, share, publishers,
                                                     count, size):
    """The worker reads publishers as fast as it delivers their messages."""
    server = start(nginx, f"""websocket_send_queue 200m;
        websocket_room_memory {share};""")
    reader = server.connect("/room")
    pool = [server.connect("/room") for _ in range(publishers)]
    threads = [threading.Thread(target=each.send,
                                args=(wire.text("x" * size) * count,))
               for each in pool]
    for thread in threads:
        thread.start()
    for _ in range(publishers * count):
        frame = reader.read_frame()
        assert (frame.opcode, len(frame.payload)) == (wire.TEXT, size)
    for thread in threads:
        thread.join()
    assert report_of(server)["total"]["lost"] == 0
    for client in (reader, *pool):
        client.disconnect()


def test_publishers_that_are_held_back_keep_no_memory(nginx):
    """A message that ended a turn is freed before the next message is read."""
    server = start(nginx, "websocket_room_memory 2m;")
    pid = worker_probe.only_worker(server)
    before = worker_probe.memory(pid, "Anonymous")
    for number in range(100):
        client = server.connect(f"/alone?k={number}")
        client.text("x" * 900_000)
        client.wait_until_read()
    grown = worker_probe.memory(pid, "Anonymous") - before
    assert grown < 40 << 20 or not worker_probe.memory_is_exact(), grown


def test_message_over_the_share_is_refused_to_each_publisher(nginx):
    server = start(nginx)
    server.allow_errors("no memory for 70000 bytes of room")
    client = join(server, "/room?k=a")
    raw = server.connect("/room?k=a")
    publish(client, "before")
    raw.expect_text("before")
    large = "x" * 70_000
    answer = server.request(post(large, "/publish?k=a"))
    assert answer.status == 507
    server.wait_for_log("the message is larger than websocket_room_memory",
                        seconds(5))
    send_text(client, large, ref=1)
    assert read(client) == {"type": "error", "ref": 1,
                            "message": "shared memory is full"}
    other = server.connect("/room?k=a")
    other.text(large)
    other.expect_failure(1013, "shared memory is full")
    publish(client, "after")
    raw.expect_text("after")
    assert kept(server, "a") == 2
    assert 'no memory for 70000 bytes of room "rooma" in ' \
        "websocket_shared_memory: larger than" in server.log()


def test_clients_of_a_stopped_worker_get_a_gap(nginx):
    """Unread messages count too. Other rooms lose none."""
    server = start(nginx, workers=2, **REUSEPORT)
    server.allow_errors("messages of room .* were lost")
    speaker = join(server, "/room?k=a")
    quiet = join(server, "/room?k=b", worker_of(speaker))
    pid = next(pid for pid in server.worker_pids()
               if pid != worker_of(speaker))
    late, other = join(server, "/room?k=a", pid), join(server, "/room?k=b", pid)
    with worker_probe.stopped(pid):
        ids = [publish(speaker, KILOBYTE)["id"] for _ in range(200)]
        publish(quiet, "one")
    assert read(late) == {"type": "gap"}
    found = [read_type(late, "message")["id"] for _ in range(IN_64K)]
    assert found == ids[-IN_64K:]
    assert read_data(other) == ["one"]
    publish(speaker, "live")
    assert read_data(late) == ["live"]
    assert zone_of(server)["dropped_unread"] == 0


def test_reload_changes_the_share(nginx):
    server = start(nginx)
    fill(server, "a", IN_64K)
    server.rewrite_config("room_memory 64k", "room_memory 16k")
    server.reload()
    wait_until(lambda: kept(server, "a") == 16384 // 1152, seconds(20),
               "the sweep")
    server.rewrite_config("room_memory 16k", "room_memory 32k")
    server.reload()
    fill(server, "a", 100)
    assert kept(server, "a") == 32768 // 1152


def test_new_worker_reports_no_earlier_loss(nginx):
    server = start(nginx, SMALL + "websocket_room_memory 1m;")
    server.allow_errors(FULL.format(r"\d+"))
    fill(server, "a", 30, "x" * 50_000)
    lost = zone_of(server)["dropped_history"]
    server.wait_for_log(FULL.format(lost), timeout=20)
    time.sleep(11)  # there is at most one such line in ten seconds
    mark = server.log_size()
    server.wait_for_workers_gone(server.reload())
    time.sleep(1.5)  # a worker checks once a second
    assert "is full" not in server.log(mark)
    fill(server, "a", 1, "x" * 50_000)
    server.wait_for_log(FULL.format(lost + 1), since=mark)


# With Redis

HOSTS = LOCATIONS.replace("history=1000", "history=100")


def test_message_over_the_share_does_not_go_to_redis(hosts):
    pair = hosts(HOSTS, http=SMALL + SHARE)
    for host in pair:
        host.server.allow_errors("no memory for 70000 bytes of room")
    here, there = pair[0].join("/room"), pair[1].join("/room")
    first = publish(here, "before")
    assert read_data(there) == ["before"]
    large = "x" * 70_000
    answer = pair[0].server.request(post(large, "/publish"))
    assert answer.status == 507
    send_text(here, large, ref=1)
    assert read(here) == {"type": "error", "ref": 1,
                          "message": "shared memory is full"}
    second = publish(here, "after")
    assert sequence(second["id"]) == sequence(first["id"]) + 1
    assert read_data(there) == ["after"]
    assert pair.redis.command("XLEN", stream_of("room:room")) == 2


def test_room_over_its_share_works_over_hosts(hosts):
    pair = hosts(HOSTS, http=SMALL + SHARE)
    for host in pair:
        host.server.allow_errors("reached websocket_room_memory")
    here, there = pair[0].join("/room"), pair[1].join("/room")
    for number in range(80):
        publish(here, f"{number:02}" * 500)
        assert read_data(there) == [f"{number:02}" * 500]
    back = pair[1].join("/room?since=0")
    found = read_data(back, IN_64K)
    assert found[-1] == "79" * 500
    back.expect_alive()
    assert zone_of(pair[1].server)["dropped_room_memory"] == 80 - IN_64K
