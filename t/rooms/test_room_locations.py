"""Several locations for the clients of one room. Publishing and presence
follow the parameters of each client's location. The history is the largest of
all locations."""

import re

import pytest

from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import (JSON, join, publish, read, read_data, read_type,
                         send_text)
from worker_picking import REUSEPORT, connect_to

LOCATIONS = """
location /play { websocket room $arg_k history=10 presence=on; }
location /watch { websocket room $arg_k publish=off; }
location /silent { websocket room $arg_k self=off; }
location /publish { websocket_publish room $arg_k; }
location ~ ^/path/(?<k>.*)$ { websocket room $k history=20; }
location ~ ^/short/(?<kk>.*)$ { websocket room $kk history=5; }
location /elsewhere { websocket_publish room ${arg_k}; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, workers=2, **REUSEPORT)


def enter(server, pid, path, form):
    """Connects a client to this worker and reads its welcome."""
    return (join(server, path, pid) if form == JSON
            else connect_to(server, pid, path))


def read_past_presence(client):
    """The next object that is not a presence event."""
    while True:
        found = read(client)
        if found["type"] not in ("joined", "left"):
            return found


def fill(server, path, count=10):
    """Publishes so many messages and disconnects, so the room is empty."""
    client = join(server, path)
    for number in range(count):
        publish(client, f"text {number}")
    client.disconnect()
    key = path.partition("?")[2]
    wait_until(lambda: Publisher(server, f"/publish?{key}").get_state()[0]
               == 0, seconds(5), "an empty room")


def kept(server, key):
    return Publisher(server, f"/publish?k={key}").get_state()[1]


# Parameters of clients

@pytest.mark.parametrize("form", ["raw", JSON])
@pytest.mark.parametrize("first", ["/play", "/watch"])
@pytest.mark.parametrize("second_worker", [False, True])
def test_publish_parameter_is_that_of_the_location(server, first, form,
                                                   second_worker):
    key = f"?k=may{first[1:]}{form[:3]}{second_worker}"
    pids = sorted(server.worker_pids())
    paths = [first + key,
             ("/watch" if first == "/play" else "/play") + key]
    clients = {path.partition("?")[0][1:]: enter(
        server, pids[index if second_worker else 0], path, form)
        for index, path in enumerate(paths)}
    player, viewer = clients["play"], clients["watch"]
    text = '{"data":"text"}' if form == JSON else "text"
    player.text(text)
    for client in player, viewer:
        if form == JSON:
            assert read_past_presence(client)["data"] == "text"
        else:
            client.expect_text("text")
    viewer.text(text)
    viewer.expect_failure(1008)
    player.text(text.replace("text", "more"))
    if form == JSON:
        assert read_past_presence(player)["data"] == "more"
    else:
        player.expect_text("more")


@pytest.mark.parametrize("first", ["/play", "/silent"])
def test_self_parameter_is_that_of_the_location(server, first):
    key = f"?k=self{first[1:]}"
    clients = [server.connect(path + key) for path in
               ([first] + [path for path in ("/play", "/silent")
                           if path != first])]
    for client in clients:
        client.text("words")
    silent = clients[0 if first == "/silent" else 1]
    other = clients[1 if first == "/silent" else 0]
    other.expect_text("words")
    other.expect_text("words")
    silent.expect_text("words")
    silent.expect_alive()


def test_history_skips_own_messages_with_self_off(server):
    fill(server, "/play?k=since", 2)
    client = join(server, "/silent?k=since&since=0")
    assert read_data(client, 2) == ["text 0", "text 1"]
    send_text(client, "own", ref=1)
    read_type(client, "published")
    client.expect_alive()


@pytest.mark.parametrize("first", ["/play", "/watch"])
def test_presence_parameter_is_that_of_the_location(server, first):
    """All clients cause events. Only clients of locations with presence=on
    receive them."""
    key = f"?k=events{first[1:]}"
    one = join(server, first + key)
    two = join(server, ("/watch" if first == "/play" else "/play") + key)
    informed, uninformed = (one, two) if first == "/play" else (two, one)
    if informed is one:
        assert read_type(informed, "joined")["client"] == two.welcome["client"]
    raw = server.connect("/watch" + key)
    assert read_type(informed, "joined")["clients"] == 3
    raw.leave()
    assert read_type(informed, "left")["clients"] == 2
    uninformed.expect_alive()


# The history

@pytest.mark.parametrize("visits", [["/watch"], ["/watch", "/silent"],
                                    ["/silent", "/watch", "/play"]])
def test_clients_shrink_no_history(server, visits):
    key = "k=" + "".join(visit[1:] for visit in visits)
    fill(server, f"/play?{key}")
    for visit in visits:
        for pid in server.worker_pids():
            client = join(server, f"{visit}?{key}&since=0", pid)
            assert client.welcome["recovered"] is True
            assert read_data(client, 10) == [f"text {number}"
                                             for number in range(10)]
            client.disconnect()
    assert kept(server, key[2:]) == 10


def test_history_is_kept_before_the_first_client_that_uses_it(server):
    client = join(server, "/silent?k=early")
    for number in range(20):
        send_text(client, f"text {number}", ref=number)
        read_type(client, "published")
    assert kept(server, "early") == 10


@pytest.mark.parametrize("path", ["/publish?k={}", "/elsewhere?k={}"])
def test_publisher_shrinks_no_history(server, path):
    key = "publisher" + path[1]
    fill(server, f"/play?k={key}")
    Publisher(server, path.format(key)).post("more")
    assert kept(server, key) == 10
    with_clients = join(server, f"/watch?k={key}")
    Publisher(server, path.format(key)).post("more")
    read_data(with_clients)
    assert kept(server, key) == 10


def test_publisher_with_another_key_keeps_the_largest_history(server):
    """nginx does not know which clients will connect, so it keeps the largest
    history. The first client does not shrink it."""
    publisher = Publisher(server, "/elsewhere?k=any")
    for number in range(25):
        publisher.post(f"text {number}")
    assert kept(server, "any") == 20
    join(server, "/short/any").disconnect()
    client = join(server, "/play?k=any&since=0")
    assert read_data(client, 20) == [f"text {number}"
                                     for number in range(5, 25)]


def test_largest_history_seen_applies_if_keys_differ(server):
    """With keys that differ, nginx learns of a common room only when clients of
    both locations have connected."""
    first = join(server, "/short/meet")
    for number in range(30):
        publish(first, f"text {number}")
    assert kept(server, "meet") == 5
    for pid in server.worker_pids():
        join(server, "/path/meet", pid).disconnect()
        join(server, "/short/meet", pid).disconnect()
    for number in range(30):
        publish(first, f"more {number}")
    assert kept(server, "meet") == 20
    first.disconnect()
    for pid in server.worker_pids():
        join(server, "/short/meet", pid).disconnect()
    join(server, "/play?k=meet").disconnect()
    assert kept(server, "meet") == 20


@pytest.mark.parametrize("change, left", [
    ("history=3", 3), ("history=40", 10), ("publish=on", 0),
    ("history=10 history_time=1ms", 0)])
def test_reload_changes_the_history(nginx, change, left):
    """A smaller history applies from the first client after the reload, a
    larger one to later messages."""
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    fill(server, "/play?k=reload")
    old = join(server, "/play?k=reload")
    server.rewrite_config("room $arg_k history=10", f"room $arg_k {change}")
    server.reload()
    assert kept(server, "reload") == 10
    new = join(server, "/watch?k=reload")
    wait_until(lambda: kept(server, "reload") == left, seconds(5),
               "another history")
    Publisher(server, "/publish?k=reload").post("more")
    after = 11 if left == 10 else left
    wait_until(lambda: kept(server, "reload") == after, seconds(5),
               f"{after} messages")
    old.disconnect()
    new.disconnect()


def test_publisher_after_a_reload_brings_the_new_history(nginx):
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    fill(server, "/play?k=reload")
    server.rewrite_config("room $arg_k history=10", "room $arg_k history=3")
    server.reload()
    Publisher(server, "/publish?k=reload").post("more")
    assert kept(server, "reload") == 3


# Warnings of nginx -t

LOCATION = r"in \S+/nginx\.conf:(\d+)"


def check(nginx, *lines, **options):
    """The warnings of a configuration with these lines in locations."""
    passed, output = nginx.check("\n".join(
        f"location /l{index} {{\n{line}\n}}"
        for index, line in enumerate(lines)), **options)
    assert passed, output
    return re.findall(r"\[warn\] .*", output)


@pytest.mark.parametrize("lines, histories", [
    (["websocket room $arg_k history=10;",
      "websocket room $arg_k history=20 history_time=1m;"],
     ["10 messages", "20 messages of 60000 ms"]),
    (["websocket room history=1;", "websocket room /l0 history=2;"],
     ["1 messages", "2 messages"]),
    (["websocket room key history=1;",
      "websocket_publish room key history=2;"], ["1 messages", "2 messages"]),
])
def test_histories_that_differ_are_warned_of(nginx, lines, histories):
    [warning] = check(nginx, *lines)
    found = re.search(rf"different histories.*: {histories[0]} {LOCATION}, "
                      rf"{histories[1]} {LOCATION}; ", warning)
    assert found, warning
    assert int(found[2]) == int(found[1]) + 3


def test_each_location_that_differs_is_named(nginx):
    warnings = check(nginx, *(f"websocket room $arg_k history={number};"
                              for number in (0, 1, 1, 2, 0, 3, 1)))
    assert len(warnings) == 2
    assert " 2 messages in" in warnings[0]
    assert " 3 messages in" in warnings[1]


@pytest.mark.parametrize("lines", [
    ["websocket room $arg_k history=10 presence=on;",
     "websocket room $arg_k history=10 publish=off self=off;"],
    ["websocket room $arg_k history=10;", "websocket room k history=20;"],
    ["websocket room $arg_k history=10;", "websocket echo $arg_k;"],
    ["websocket room $arg_k history=10;", "websocket_publish room $arg_k;"],
    ["websocket room $arg_k;", "websocket room $arg_k publish=off;"],
    ["websocket room $arg_k history=10;",
     "websocket room $arg_k publish=off;"],
    ["websocket room $arg_k publish=off;", "websocket room $arg_k history=10;",
     "websocket room $arg_k history=0;"],
    ["websocket room $arg_k history=10 history_time=60s;",
     "websocket room $arg_k history_time=1m history=10;"],
])
def test_histories_that_agree_are_not_warned_of(nginx, lines):
    assert check(nginx, *lines) == []
