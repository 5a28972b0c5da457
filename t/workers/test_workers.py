"""Resources over several workers: one order and one count, also after a worker
was killed, stopped, or replaced."""

import os
import random
import signal
import threading

import pytest

import handler_log
import wire
import worker_probe
from nginx_server import seconds, wait_until
from worker_picking import (REUSEPORT, connect_to, on_each_worker,
                            wait_for_other_worker, worker_of)

LOCATIONS = """
location /room { websocket probe room$arg_k; }
location /few { websocket probe few$arg_k; websocket_max_clients 3; }
location /drop { websocket probe drop$arg_k; websocket_send_queue 64k drop; }
"""


@pytest.fixture
def start(nginx):
    """Starts a server with the probe's locations."""
    def started(workers=2, **options):
        http = handler_log.plugin() + options.pop("http", "")
        return nginx(LOCATIONS, workers=workers, http=http, **REUSEPORT,
                     **options)
    return started


def ask(client, question):
    client.text(f"ask {question}")
    return client.read_frame().payload.decode()


def wait_for_count(client, count):
    wait_until(lambda: ask(client, "count") == str(count), seconds(5),
               f"{count} clients")


def texts_until(client, last, times=1):
    """All texts up to `last`, which comes `times` times."""
    found = []
    while found.count(last) < times:
        frame = client.read_frame()
        assert frame.opcode == wire.TEXT, frame
        found.append(frame.payload.decode())
    return found


def test_broadcast_reaches_the_clients_of_all_workers(start):
    server = start(workers=3)
    clients = on_each_worker(server, "/room") + on_each_worker(server, "/room")
    assert len({worker_of(client) for client in clients}) == 3
    elsewhere = server.connect("/room?k=other")
    for index, client in enumerate(clients):
        client.text(f"all text {index};bytes bytes {index}")
        for each in clients:
            each.expect_text(f"text {index}")
            each.expect_binary(f"bytes {index}")
    elsewhere.expect_alive()


@pytest.mark.parametrize("size", [0, 65535, 65536, 200000, 900000])
def test_broadcast_of_many_sizes(start, size):
    server = start()
    clients = on_each_worker(server, "/room")
    for sender in clients:
        sender.text("all " + "x" * size)
        for client in clients:
            client.expect_text("x" * size)


def test_order_is_the_same_for_all(start):
    server = start(workers=3)
    clients = [client for _ in range(3)
               for client in on_each_worker(server, "/room")]
    rounds = 300

    def talk(index):
        for number in range(rounds):
            clients[index].send(wire.text(f"all {index} {number}"),
                                duplex=False)

    threads = [threading.Thread(target=talk, args=(index,))
               for index in range(len(clients))]
    for thread in threads:
        thread.start()
    received = []
    for client in clients:
        received.append([client.read_frame(seconds(20)).payload
                         for _ in range(rounds * len(clients))])
    for thread in threads:
        thread.join()
    assert all(each == received[0] for each in received)
    for index in range(len(clients)):
        own = [text for text in received[0]
               if text.startswith(f"{index} ".encode())]
        assert own == [f"{index} {number}".encode()
                       for number in range(rounds)]


def test_broadcast_precedes_later_sends_and_closes(start):
    server = start()
    first, second = on_each_worker(server, "/room")
    first.text("self 1;all 2;self 3;all 4;all 5;self 6;all 7;close self 4000")
    for text in "1234567":
        first.expect_text(text)
    first.expect_failure(4000)
    assert texts_until(second, "7") == ["2", "4", "5", "7"]


def test_new_client_gets_no_earlier_broadcast(start):
    server = start()
    speaker = server.connect("/room")
    for number in range(50):
        speaker.text(f"all before {number}")
        speaker.expect_text(f"before {number}")
        newcomer = server.connect("/room")
        newcomer.expect_alive()
        speaker.text(f"all after {number}")
        newcomer.expect_text(f"after {number}")
        newcomer.disconnect()
        speaker.expect_text(f"after {number}")


def test_count_is_of_all_workers(start):
    server = start(workers=3)
    clients = []
    for _ in range(3):
        clients += on_each_worker(server, "/room")
        for client in clients:
            wait_for_count(client, len(clients))
    clients.pop().leave()
    clients.pop().abort()
    for client in clients:
        wait_for_count(client, len(clients))


def test_clients_are_limited_over_all_workers(start):
    server = start()
    clients = on_each_worker(server, "/few")
    wait_for_count(clients[0], 2)
    clients.append(server.connect("/few"))
    for _ in range(10):
        answer = server.request(wire.upgrade_request("/few"))
        assert answer.status == 503
    server.wait_for_log(r"refused with 503: websocket_max_clients \(3\)")
    server.connect("/few?k=other").expect_alive()
    clients.pop().leave()
    wait_for_count(clients[0], 2)
    clients.append(server.connect("/few"))
    assert ask(clients[0], "count") == "3"


def test_messages_of_one_worker_wake_no_other(start):
    server = start()
    client, other = on_each_worker(server, "/room?k=1")
    other.leave()
    other.disconnect()
    wait_for_count(client, 1)
    quiet = next(pid for pid in server.worker_pids()
                 if pid != worker_of(client))
    before = switches(quiet)
    for number in range(2000):
        client.text(f"all {number}")
        client.expect_text(str(number))
    # It wakes up once a second without messages
    assert switches(quiet) - before < 50


def switches(pid):
    """The number of voluntary context switches of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("voluntary_ctxt_switches"):
                return int(line.split()[1])
    raise AssertionError("no voluntary_ctxt_switches")


# A worker that dies

def test_killed_worker_disturbs_no_client(start):
    server = start()
    server.allow_errors(
        r"exited on signal 9|zone \"\w+\" was locked")
    staying, going = on_each_worker(server, "/room")
    also = connect_to(server, worker_of(going), "/room")
    wait_for_count(staying, 3)
    os.kill(worker_of(going), signal.SIGKILL)
    wait_for_other_worker(server, worker_of(going), 2)
    wait_for_count(staying, 1)
    server.wait_for_log("2 clients of a resource were lost with their "
                        "worker")
    back = connect_to(server, next(
        pid for pid in server.worker_pids() if pid != worker_of(staying)),
        "/room")
    staying.text("all still here")
    for client in (staying, back):
        client.expect_text("still here")
    for client in (going, also):
        client.disconnect()


def test_workers_killed_at_random_under_load(start):
    server = start(workers=3, http="websocket_shared_memory 1m;"
                                   "websocket_room_memory 1m;")
    server.allow_errors(
        r"exited on signal 9|zone \"\w+\" was locked")
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(20):
        clients = on_each_worker(server, "/room")
        victim = chance.choice(clients)
        staying = [client for client in clients if client is not victim]
        threads = [threading.Thread(target=flood, args=(client,))
                   for client in clients]
        for thread in threads:
            thread.start()
        threading.Event().wait(chance.random() * 0.05)  # at a random time
        os.kill(worker_of(victim), signal.SIGKILL)
        for thread in threads:
            thread.join()
        for client in staying:
            client.text("all end")
        received = [texts_until(client, "end", 2) for client in staying]
        assert received[0] == received[1]
        for index in range(2):
            own = f"{staying[index].number} "
            texts = [text for text in received[0] if text.startswith(own)]
            assert texts == [f"{own}{number}" for number in range(200)]
        wait_for_count(staying[0], 2)
        for client in clients:
            client.disconnect()
        wait_for_other_worker(server, worker_of(victim), 3)


def flood(client):
    client.number = client.response.header("X-Worker")
    try:
        for number in range(200):
            client.send(wire.text(f"all {client.number} {number}"),
                        duplex=False)
    except OSError:
        pass


# A stopped worker

def test_frozen_worker_does_not_stop_the_others(start):
    server = start(http="websocket_shared_memory 512k;"
                        "websocket_room_memory 512k;")
    server.allow_errors("messages of probe .* were lost")
    talking, frozen = on_each_worker(server, "/room")
    with worker_probe.stopped(worker_of(frozen)):
        for number in range(3000):
            talking.text("all " + f"{number:04}" * 100)
            talking.expect_text(f"{number:04}" * 100)
    frozen.expect_failure(1013, "lost")
    server.wait_for_log("messages of probe .* were lost")
    server.wait_for_log("websocket_shared_memory is full")
    talking.expect_alive()
    back = connect_to(server, worker_of(frozen), "/room")
    talking.text("all on it goes")
    back.expect_text("on it goes")
    talking.expect_text("on it goes")
    frozen.disconnect()


def test_worker_that_stood_still_for_a_moment_has_lost_nothing(start):
    server = start()
    talking, frozen = on_each_worker(server, "/room")
    with worker_probe.stopped(worker_of(frozen)):
        for number in range(3000):
            talking.text(f"all {number}")
            talking.expect_text(str(number))
    for number in range(3000):
        frozen.expect_text(str(number))


def test_client_that_does_not_read_delays_no_other(start):
    server = start(http="websocket_shared_memory 1m;"
                        "websocket_room_memory 1m;")
    talking, slow = on_each_worker(server, "/drop")
    other = connect_to(server, worker_of(slow), "/drop")
    for number in range(1000):
        talking.text("all " + f"{number:04}" * 4000)
        for client in (talking, other):
            client.expect_text(f"{number:04}" * 4000)
    slow.abort()


# Memory

def test_message_larger_than_the_memory_is_refused(start):
    server = start(http="websocket_shared_memory 512k;"
                        "websocket_room_memory 512k;")
    server.allow_errors("no memory for 400000 bytes")
    clients = on_each_worker(server, "/room")
    clients[0].text("all " + "x" * 400000)
    server.wait_for_log(
        r'\[error\].*no memory for 400000 bytes of probe "room" in '
        "websocket_shared_memory")
    clients[0].text("all fits")
    for client in clients:
        client.expect_text("fits")


def test_memory_is_given_back(start):
    server = start(http="websocket_shared_memory 512k;"
                        "websocket_room_memory 512k;")
    for number in range(3000):
        client = server.connect(f"/room?k={number}")
        client.text("all " + "x" * 1000)
        client.expect_text("x" * 1000)
        client.disconnect()


# Reloads and a single process

def test_reload_keeps_the_memory(start):
    server = start()
    before = server.connect("/room")
    old = server.reload()
    before.expect_close(1001)
    new = server.connect("/room")
    new.text("all new")
    new.expect_text("new")
    before.close(1001)
    before.expect_eof()
    server.wait_for_workers_gone(old)
    after = on_each_worker(server, "/room")
    wait_for_count(after[0], 3)
    after[0].text("all new")
    for client in after:
        client.expect_text("new")


def test_single_process(nginx):
    server = nginx(LOCATIONS, master=False, http=handler_log.plugin())
    clients = [server.connect("/room") for _ in range(3)]
    clients[0].text("all words")
    for client in clients:
        client.expect_text("words")


def test_connection_ends_while_its_messages_are_delivered(start):
    server = start()
    for _ in range(100):
        clients = on_each_worker(server, "/room")
        clients[0].text(";".join(f"all {number}" for number in range(50)))
        clients[1].abort()
        clients[0].abort()
