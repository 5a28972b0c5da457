"""Rooms over several hosts that share a Redis: one order, one set of ids."""

import json

import pytest

import wire
from hosts import Host, ids_of, consecutive, read_message, stream_of
from nginx_server import seconds, wait_until
from plugin_builder import build_file, example
from publish_client import BINARY, Publisher
from room_client import (publish, read, read_data, read_type, send_text,
                         sequence)

LOCATIONS = """
location /room { websocket room room$arg_k history=100; }
location /bare { websocket room bare$arg_k; }
location /big {
    websocket room big$arg_k;
    websocket_max_message_size 2m;
    websocket_send_queue 4m;
}
location /chat { websocket chat $arg_k; }
location /kept { websocket message_echo $arg_k history=100; }
location /echo { websocket echo $arg_k; }
location /publish { websocket_publish room room$arg_k; }
location /publish-big {
    client_max_body_size 2m;
    websocket_publish room big$arg_k;
    websocket_max_message_size 2m;
}
location /publish-kept { websocket_publish message_echo $arg_k history=100; }
location /publish-echo { websocket_publish echo $arg_k; }
"""

PAYLOADS = {
    "text": "hello", "empty": "", "utf-8": "grüße, 日本語, \U0001f600",
    "lines": "*2\r\n$3\r\nGET\r\n", "nul": "a\0b\0", "quotes": '"\\\'{}%s',
    "number": "-0", "binary": bytes(range(256)), "no bytes": b"",
    "not utf-8": b"\xff\xfe", "1 MB": "x" * 1048576,
    "1 MB binary": bytes(range(256)) * 4096,
}


def plugins():
    return (f"websocket_plugin {example('chat')};"
            f"websocket_plugin {build_file('message_echo.cpp')};")


@pytest.fixture(scope="module")
def pair(module_hosts):
    """Two hosts with two workers each."""
    return module_hosts(LOCATIONS, http=plugins())


def expect(client, payload):
    """A raw client gets this payload as text or as binary."""
    if isinstance(payload, str):
        client.expect_text(payload)
    else:
        client.expect_binary(payload)


# Order and ids

def test_concurrent_messages_over_http_and_from_clients_have_one_order(pair):
    path = "/room?k=mixed"
    speakers = [host.join(path) for host in pair]
    publishers = [host.publisher("/publish?k=mixed") for host in pair]
    ids = {}
    for number in range(50):
        for speaker in speakers:
            send_text(speaker, f"{number}")
        for publisher in publishers:
            ids[publisher.post("over HTTP")] = "over HTTP"
    count = 200
    first = [read_message(speakers[0]) for _ in range(count)]
    assert [read_message(speakers[1]) for _ in range(count)] == first
    assert [sequence(message["id"]) for message in first] == list(
        range(1, count + 1))
    assert {tuple(map(int, message["id"].split("-"))): message["data"]
            for message in first if message["from"] is None} == ids


def test_flood_from_one_host_is_received_whole_on_another(pair):
    path = "/bare?k=flood"
    speaker, listener = pair[0].connect(path), pair[1].connect(path)
    texts = [f"{number:05}".ljust(100, ".") for number in range(3000)]
    speaker.send([wire.text(text) for text in texts])
    for text in texts:
        listener.expect_text(text)
        speaker.expect_text(text)


def test_three_hosts(hosts):
    three = hosts(LOCATIONS, http=plugins(), count=3, workers=1)
    clients = [host.join("/room?k=1") for host in three]
    for number in range(20):
        for client in clients:
            send_text(client, f"{number}")
    received = [[read_message(client) for _ in range(60)]
                for client in clients]
    assert received[0] == received[1] == received[2]
    assert sequence(received[0][-1]["id"]) == 60


# Payloads

@pytest.mark.parametrize("name", PAYLOADS)
def test_payload_arrives_unchanged(pair, name):
    payload = PAYLOADS[name]
    path = f"/big?k={name.replace(' ', '')}"
    sender = pair[0].connect(path)
    raw = pair.on_each_worker(Host.connect, path)
    member = pair[1].join(path)
    kind = wire.TEXT if isinstance(payload, str) else wire.BINARY
    sender.send(wire.frame(kind, payload))
    for client in [sender, *raw]:
        expect(client, payload)
    message = read_type(member, "message")
    if isinstance(payload, str):
        assert message["data"] == payload
    else:
        assert "data" not in message and "base64" in message
    path = path.replace("/", "/publish-")
    pair[1].post(path, payload,
                 **({} if kind == wire.TEXT else {"kind": BINARY}))
    for client in [sender, *raw]:
        expect(client, payload)


@pytest.mark.parametrize("key", ["a:b", "*?[x]", "{tag}", "%00%20%ff", "ä",
                                 "'\"", "$(x)", "s:room"])
def test_any_key_names_a_room_of_its_own(pair, key):
    key = key.encode().decode("latin-1")
    near, far = pair[0].join(f"/room?k={key}"), pair[1].join(f"/room?k={key}")
    other = pair[1].join(f"/room?k={key}x")
    message = publish(near, "x")
    assert read(far) == message
    other.expect_alive()


# Publishing over HTTP

def test_host_without_clients_publishes_to_those_of_others(pair):
    path = "/publish?k=far"
    clients = [pair[0].join("/room?k=far", worker) for worker in (0, 1)]
    pair.wait_for_clients(path, 2)
    epoch, number = pair[1].post(path, "one", clients=2)
    for client in clients:
        assert read_type(client, "message")["id"] == f"{epoch}-{number}"
    assert pair[0].post(path, "two", clients=2) == (epoch, number + 1)
    for client in clients:
        assert read_data(client) == ["two"]


def test_publishers_get_the_count_of_clients_on_all_hosts(pair):
    path = "/publish?k=count"
    clients = pair.on_each_worker(Host.connect, "/room?k=count")
    pair.wait_for_clients(path, len(clients))
    for host in pair:
        for _ in range(5):
            publisher = Publisher(host.server, path)
            publisher.post("x", clients=len(clients))
            for client in clients:
                client.expect_text("x")


def test_message_without_clients_enters_the_history(pair):
    ids = [host.post("/publish?k=nobody", "x", clients=0)
           for host in (pair[0], pair[1], pair[0])]
    assert consecutive(ids)
    late = pair[1].join("/room?k=nobody&since=0")
    assert late.welcome["recovered"] is True
    assert ids_of(late, 3) == ids


def test_get_returns_the_same_state_on_each_host(pair):
    path = "/publish?k=state"
    client = pair[0].join("/room?k=state")
    for number in range(3):
        last = publish(client, f"{number}")["id"]
    for host in pair:
        wait_until(lambda host=host: host.get_state(path) == (1, 3, last),
                   seconds(5), "the state of the room")
    client.leave()
    for host in pair:
        wait_until(lambda host=host: host.get_state(path) == (0, 3, last),
                   seconds(5), "the state of the room")


@pytest.mark.parametrize("index", [0, 1])
def test_any_host_closes_the_clients_of_all(pair, index):
    path = f"/publish?k=close{index}"
    clients = pair.on_each_worker(Host.connect, f"/room?k=close{index}")
    other = pair[1 - index].connect("/room?k=open")
    pair.wait_for_clients(path, len(clients))
    pair[index].post(path, "before")
    publisher = pair[index].publisher(path)
    assert publisher.close_clients("&code=4001&reason=over") == len(clients)
    for client in clients:
        client.expect_text("before")
        client.expect_failure(4001, "^over$")
        client.disconnect()
    pair.wait_for_clients(path, 0)
    other.expect_alive()


# Other handlers

def test_broadcast_of_a_handler_reaches_all_hosts(pair):
    first = pair[0].connect("/chat?k=1&name=ann")
    first.expect_text("ann has joined 1")
    second = pair[1].connect("/chat?k=1&name=bob")
    for client in (first, second):
        client.expect_text("bob has joined 1")
    second.text("hi")
    first.text("ho")
    replies = [first.read_frame().payload, first.read_frame().payload]
    assert sorted(replies) == [b"ann says ho", b"bob says hi"]
    for text in replies:
        second.expect_text(text.decode())
    second.leave()
    second.disconnect()
    first.expect_text("bob has left")


def test_handler_that_keeps_history_has_that_of_all_hosts(pair):
    first = pair[0].connect("/kept?k=1")
    first.expect_text("history 100")
    name = "%d-%d" % pair[0].post("/publish-kept?k=1", "one")
    replies = f"text {name} from 0 one"
    first.expect_text(replies)
    second = pair[1].connect("/kept?k=1")
    second.expect_text(f"kept {replies}")
    second.expect_text("history 100")
    name = "%d-%d" % pair[1].post("/publish-kept?k=1", "two", kind=BINARY)
    for client in (first, second):
        client.expect_text(f"binary {name} from 0 two")


def test_echo_works_without_redis_and_receives_what_is_published(pair):
    clients = pair.on_each_worker(Host.connect, "/echo?k=1")
    for number, client in enumerate(clients):
        client.text(f"{number}")
        client.expect_text(f"{number}")
    redis = pair.redis
    assert not redis.keys(stream_of("echo:1"))
    pair.wait_for_clients("/publish-echo?k=1", len(clients))
    for host in pair:
        host.post("/publish-echo?k=1", "to all", clients=len(clients))
        for client in clients:
            client.expect_text("to all")


# Addresses and URLs of Redis

def works(group):
    near, far = group[0].join("/room"), group[1].join("/room")
    message = publish(near, "x")
    assert read(far) == message


def test_by_a_unix_socket(start_redis, hosts):
    works(hosts(LOCATIONS, http=plugins(), redis=start_redis(unix=True)))


@pytest.mark.parametrize("kind", ["password", "user", "database"])
def test_by_a_url(redis, hosts, kind):
    if kind == "password":
        redis.config_set("requirepass", "s3cret")
        url = redis.url()
    elif kind == "user":
        redis.set_user("web", "on", ">pass", "~ws:*", "&ws:*", "+@all")
        url = redis.url().replace("//", "//web:pass@")
    else:
        url = redis.url() + "/3"
    works(hosts(LOCATIONS, http=plugins(), url=url))
    if kind == "database":
        assert redis.keys() == []


@pytest.mark.parametrize("prefixes, ends", [(("a:", "b:"), ("", "")),
                                            (("ws:", "ws:"), ("", "/1"))])
def test_services_with_another_prefix_or_database_share_nothing(
        redis, hosts, prefixes, ends):
    one, two = (hosts(LOCATIONS, 1, http=plugins(), prefix=prefix, workers=1,
                      url=redis.url() + end)
                for prefix, end in zip(prefixes, ends))
    first, second = one[0].join("/room"), two[0].join("/room")
    publish(first, "x")
    second.expect_alive()
    assert sequence(publish(second, "y")["id"]) == 1
    first.expect_alive()
    for group in (one, two):
        group.wait_for_clients("/publish", 1)


def test_json_of_all_hosts_is_the_same(pair):
    path = "/room?k=json"
    clients = [host.join(path) for host in pair]
    clients[0].binary(b"\1\2")
    frames = [client.read_frame().payload for client in clients]
    assert frames[0] == frames[1]
    assert json.loads(frames[0])["base64"] == "AQI="
