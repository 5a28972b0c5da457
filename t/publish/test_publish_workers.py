"""Publishing over HTTP to clients on several workers; full memory, a worker
without a slot, and nginx without a master."""

import re

import pytest

import plugin_builder
import wire
from nginx_server import seconds, wait_until
from publish_client import (BINARY, Publisher, answer_of, expect_refused, post,
                            refusals, request)
from worker_picking import REUSEPORT, on_each_worker

LOCATIONS = """
location /clients { websocket echo $arg_room; }
location /publish { websocket_publish echo $arg_room; }
location /kept { websocket message_echo $arg_room history=100; }
location /publish-kept { websocket_publish message_echo $arg_room; }
"""


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two"])
def server(request, module_nginx):
    plugin = plugin_builder.build_file("message_echo.cpp")
    return module_nginx(
        LOCATIONS, http=f"websocket_plugin {plugin}; "
                        "keepalive_requests 100000;",
        workers=request.param, **REUSEPORT)


def publishers(server, path="/publish?room=1"):
    """A connection to each worker, in the order of pids."""
    found = {}
    pids = server.worker_pids()
    for _ in range(1000):
        publisher = Publisher(server, path)
        pid = int(publisher.ask("GET").header("X-Worker"))
        if pid in found:
            publisher.client.disconnect()
        else:
            found[pid] = publisher
        if len(found) == len(pids):
            return [found[pid] for pid in sorted(found)]
    raise AssertionError(f"of {pids} only {list(found)} answer")


def test_any_worker_publishes_to_the_clients_of_all(server):
    clients = [*on_each_worker(server, "/clients?room=1"),
               *on_each_worker(server, "/clients?room=1")]
    count = len(clients)
    for index, publisher in enumerate(publishers(server)):
        publisher.post(f"text {index}", clients=count)
        publisher.post(b"\xff%d" % index, clients=count, kind=BINARY)
        for client in clients:
            client.expect_text(f"text {index}")
            client.expect_binary(b"\xff%d" % index)


def test_all_clients_see_one_order(server):
    clients = on_each_worker(server, "/clients?room=order")
    senders = publishers(server, "/publish?room=order")
    for number in range(200):
        for index, sender in enumerate(senders):
            sender.client.send(post(f"{index} {number}", sender.path))
    ids = {}
    for index, sender in enumerate(senders):
        for number in range(200):
            answer = answer_of(sender.client.read_response())
            ids[int(answer["id"].partition("-")[2])] = f"{index} {number}"
    assert sorted(ids) == list(range(1, 200 * len(senders) + 1))
    for client in clients:
        for sequence in sorted(ids):
            client.expect_text(ids[sequence])


def test_get_covers_all_workers(server):
    clients = on_each_worker(server, "/clients?room=state")
    for publisher in publishers(server, "/publish?room=state"):
        epoch, sequence = publisher.post("x")
        for other in publishers(server, "/publish?room=state"):
            assert other.get_state() == (len(clients), 0,
                                         f"{epoch}-{sequence}")


def test_worker_without_clients_publishes_and_reports_counts(server):
    *_, client = on_each_worker(server, "/clients?room=2")
    first, *_ = on_each_worker(server, "/clients?room=far")
    for publisher in publishers(server, "/publish?room=far"):
        publisher.post("x", clients=len(server.worker_pids()))
        first.expect_text("x")
    client.expect_alive()


def test_any_worker_closes_the_clients_of_all(server):
    for index, publisher in enumerate(
            publishers(server, "/publish?room=close")):
        clients = [*on_each_worker(server, "/clients?room=close"),
                   *on_each_worker(server, "/clients?room=close")]
        elsewhere = on_each_worker(server, "/clients?room=open")
        code = 4000 + index
        publisher.post("before")
        answer = publisher.close_clients(f"&code={code}&reason=over%20{index}")
        assert answer == len(clients)
        for client in clients:
            client.expect_text("before")
            client.expect_failure(code, f"^over {index}$")
            client.disconnect()
        for client in elsewhere:
            client.expect_alive()
        wait_until(lambda: publisher.get_state()[0] == 0, seconds(5),
                   "no clients")


def test_later_clients_get_the_history_on_any_worker(server):
    path = "/publish-kept?room=history"
    sent = []
    for index, publisher in enumerate(publishers(server, path)):
        sent.append((publisher.post(f"text {index}"), f"text {index}"))
    assert publisher.get_state()[:2] == (0, len(sent))
    for client in on_each_worker(server, "/kept?room=history"):
        for (epoch, sequence), text in sent:
            client.expect_text(
                f"kept text {epoch}-{sequence} from 0 {text}")
        client.expect_text("history 100")


def test_ids_go_on_over_a_reload(nginx):
    server = nginx(LOCATIONS.partition("location /kept")[0], **REUSEPORT)
    epoch, first = Publisher(server).post("x")
    old_client = server.connect("/clients?room=1")
    kept_alive = Publisher(server)
    kept_alive.post("y")
    old = server.reload()
    assert Publisher(server).post("z") == (epoch, first + 2)
    old_client.expect_text("y")
    old_client.disconnect()
    server.wait_for_workers_gone(old)


def test_single_process(nginx):
    server = nginx(LOCATIONS.partition("location /kept")[0], master=False)
    client, publisher = server.connect("/clients?room=1"), Publisher(server)
    publisher.post("x", clients=1)
    client.expect_text("x")
    assert publisher.close_clients("&code=4000") == 1
    client.expect_failure(4000)


# Full memory

def test_message_that_the_memory_cannot_hold(nginx):
    server = nginx(LOCATIONS.partition("location /kept")[0],
                   http="websocket_shared_memory 512k;"
                        "websocket_room_memory 512k;")
    server.allow_errors("no memory for 600000 bytes")
    path = "/publish?room=1"
    answer_of(server.request(post(b"x" * 600000, path)))  # no client
    client = server.connect("/clients?room=1")
    for _ in range(3):
        response = expect_refused(
            server, post(b"x" * 600000, path), 507,
            "the message is larger than websocket_room_memory")
        assert b"507" in response.body
    answer = [line for line in server.log().split("\n") if "[error]" in line]
    assert len(answer) == 1 and 'echo "1"' in answer[0]
    Publisher(server).post("small", clients=1)
    client.expect_text("small")


def test_new_resource_in_full_memory(nginx):
    """A new resource does not replace one with clients."""
    server = nginx(LOCATIONS.partition("location /kept")[0],
                   http="websocket_shared_memory 512k;"
                        "websocket_room_memory 512k;")
    server.allow_errors("no memory for")
    rooms = ["k" * 3500 + str(number) for number in range(200)]
    refused = None
    while refused is None:
        client = server.open()
        client.send(wire.upgrade_request(f"/clients?room={rooms.pop()}"))
        refused = client if client.read_response().status == 503 else None
    line = server.wait_for_log("no memory for")
    assert re.search(r'no memory for one more resource, \S+ "k+\.\.\.", in '
                     "websocket_shared_memory: its clients are refused with "
                     "503", line), line
    # This name is longer than the one that did not fit for a client
    path = f"/publish?room={'k' * 500}{rooms.pop()}"
    expect_refused(server, post("x", path), 507,
                   "websocket_shared_memory is full")
    assert Publisher(server, path).get_state() == (0, 0, "0")
    server.release_clients()
    Publisher(server, path).post("x", clients=0)


# Without a slot: a small zone has 64 slots

def test_worker_without_a_slot_refuses_with_503(nginx):
    server = nginx(LOCATIONS.partition("location /kept")[0],
                   http="websocket_shared_memory 1m;", **REUSEPORT)
    server.allow_errors("no free worker slot of 64")
    config = f"{server.prefix}/nginx.conf"
    with open(config, encoding="utf-8") as file:
        text = file.read()
    with open(config, "w", encoding="utf-8") as file:
        file.write(re.sub("worker_processes 1;", "worker_processes 72;", text))
    server.reload()
    server.wait_for_log("no free worker slot of 64")
    found = {}
    for _ in range(2000):
        method = ("GET", "POST", "DELETE")[len(found) % 3]
        response = server.request(request(method, body="x"))
        found.setdefault((method, response.status), response)
        if len([1 for _, status in found if status == 503]) == 3:
            break
    assert {status for _, status in found} == {200, 503}, found
    assert {reason for _, reason in refusals(server)} == {
        "no free worker slot: too many old workers are still shutting down"}
