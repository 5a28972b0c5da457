"""Publishing over HTTP to rooms: their history, and the raw and JSON forms of a
message."""

import base64
import time

import pytest

import room_client
from nginx_server import seconds, wait_until
from publish_client import BINARY, Publisher
from worker_picking import REUSEPORT, on_each_worker

LOCATIONS = """
location /room { websocket room $arg_room history=5; }
location /listeners {
    websocket room $arg_room history=5 publish=off self=off;
}
location /present { websocket room $arg_room presence=on; }
location /brief { websocket room brief history=5 history_time=300ms; }
location /publish { websocket_publish room $arg_room; }
location /publish-brief {
    websocket_publish room brief history=1 history_time=200ms;
}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http="keepalive_requests 100000;",
                        workers=2, **REUSEPORT)


def name_of(message):
    return "{}-{}".format(*message)


@pytest.mark.parametrize("path", ["/room", "/listeners", "/present"])
def test_both_forms_of_the_payload(server, path):
    path = f"{path}?room=forms{path[1:]}"
    publisher = Publisher(server, f"/publish?{path.partition('?')[2]}")
    raw = on_each_worker(server, path)
    json_client = room_client.join(server, path)
    before = int(time.time() * 1000)
    text = publisher.post("häuser \"1\"\n", clients=3)
    octets = publisher.post(b"\xff\0", clients=3, kind=BINARY)
    for client in raw:
        client.expect_text("häuser \"1\"\n")
        client.expect_binary(b"\xff\0")
    message = room_client.read_type(json_client, "message")
    assert message.pop("time") >= before - 1000
    assert message == {"type": "message", "id": name_of(text), "from": None,
                       "data": "häuser \"1\"\n"}
    message = room_client.read_type(json_client, "message")
    assert message["id"] == name_of(octets) and message["from"] is None
    assert base64.b64decode(message["base64"]) == b"\xff\0"


def test_history_published_before_the_first_client(server):
    publisher = Publisher(server, "/publish?room=before")
    sent = [publisher.post(f"text {number}", clients=0)
            for number in range(8)]
    assert publisher.get_state() == (0, 5, name_of(sent[-1]))
    for client in on_each_worker(server, "/room?room=before&since=0"):
        for number in range(3, 8):
            client.expect_text(f"text {number}")
        client.expect_alive()
    path = f"/room?room=before&since={name_of(sent[5])}"
    client = room_client.join(server, path)
    assert client.welcome["last"] == name_of(sent[-1])
    assert client.welcome["recovered"] is True
    assert room_client.read_data(client, 2) == ["text 6", "text 7"]


def test_ids_are_those_of_the_clients_messages(server):
    client = room_client.join(server, "/room?room=ids")
    publisher = Publisher(server, "/publish?room=ids")
    first = room_client.publish(client, "from the client")
    second = name_of(publisher.post("over HTTP"))
    assert room_client.read_type(client, "message")["id"] == second
    third = room_client.publish(client, "again")
    numbers = [room_client.sequence(one)
               for one in (first["id"], second, third["id"])]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    assert publisher.get_state() == (1, 3, third["id"])


def test_welcome_and_get_have_the_same_last_id(server):
    publisher = Publisher(server, "/publish?room=last")
    client = room_client.join(server, "/room?room=last")
    assert publisher.get_state() == (1, 0, client.welcome["last"])
    publisher.post("x")
    client = room_client.join(server, "/room?room=last")
    assert publisher.get_state() == (2, 1, client.welcome["last"])


def test_history_ends_with_its_time(server):
    publisher = Publisher(server, "/publish-brief")
    publisher.post("x", clients=0)
    wait_until(lambda: publisher.get_state()[1] == 0, seconds(5), "no history")
    assert publisher.get_state()[2].endswith("-1")


@pytest.mark.parametrize("path", ["/room", "/present"])
def test_delete_closes_clients_of_both_forms(server, path):
    path = f"{path}?room=delete{path[1:]}"
    publisher = Publisher(server, f"/publish?{path.partition('?')[2]}")
    raw, json_client = server.connect(path), room_client.join(server, path)
    publisher.post("last words")
    assert publisher.close_clients("&code=4001&reason=closed") == 2
    raw.expect_text("last words")
    raw.expect_failure(4001, "^closed$")
    assert room_client.read_data(json_client) == ["last words"]
    json_client.expect_failure(4001, "^closed$")
