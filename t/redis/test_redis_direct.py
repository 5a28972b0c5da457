"""Messages to one client or one user on another host."""

import json

import pytest

from direct_client import LOCATIONS, ask, direct, join_as, number
from hosts import Host
from nginx_server import seconds, wait_until
from preload import preloaded
from publish_client import request
from redis_client import RedisError
from room_client import read
from status_reader import report_of

STATUS = "location = /status { websocket_status; }\n"


@pytest.fixture
def pair(hosts):
    return hosts(LOCATIONS + STATUS)


def counters(host):
    return report_of(host.server)["redis"]


def expect_nothing(*clients):
    """They get no object before the answer to a ping."""
    for client in clients:
        client.text('{"ping":1}')
        assert read(client) == {"type": "pong"}


def test_message_to_a_client_of_another_host(pair):
    clients = pair.on_each_worker(Host.join, "/room?k=a")
    for client in clients:
        for host in pair:
            assert ask(host.server, "POST", f"/to?client={number(client)}",
                       "x") == (200, {"clients": 1})
            assert direct(client) == "x"
    expect_nothing(*clients)


def test_only_the_host_of_the_client_gets_the_message(hosts):
    group = hosts(LOCATIONS + STATUS, count=3)
    clients = [join_as(host) for host in group]
    assert ask(group[0].server, "POST", f"/to?client={number(clients[1])}",
               "x") == (200, {"clients": 1})
    assert direct(clients[1]) == "x"
    assert [counters(host)["direct_received"] for host in group] == [0, 1, 0]
    assert [counters(host)["direct_sent"] for host in group] == [1, 0, 0]
    assert ask(group[0].server, "POST", f"/to?client={number(clients[0])}",
               "y") == (200, {"clients": 1})
    assert counters(group[0])["direct_sent"] == 1


def test_message_to_a_user_of_two_hosts(pair):
    ann = [join_as(host, "ann", key) for host in pair for key in "ab"]
    bob = [join_as(host, "bob") for host in pair]
    assert ask(pair[0].server, "POST", "/to?user=ann", "x") == (
        200, {"clients": 4})
    for client in ann:
        assert direct(client) == "x"
    assert ask(pair[0].server, "POST", "/to?user=ann&k=b", "y") == (
        200, {"clients": 2})
    for client in ann[1::2]:
        assert direct(client) == "y"
    assert ask(pair[1].server, "GET", "/to?user=ann") == (200, {"clients": 4})
    expect_nothing(*ann, *bob)


def test_user_on_another_host_alone(pair):
    ann = join_as(pair[1], "ann")
    assert ask(pair[0].server, "POST", "/to?user=ann", "x") == (
        200, {"clients": 1})
    assert direct(ann) == "x"


def test_closing_on_other_hosts(pair):
    ann = [join_as(host, "ann") for host in pair]
    bob = [join_as(host, "bob") for host in pair]
    assert ask(pair[0].server, "DELETE",
               "/to?user=ann&code=4001&reason=out") == (200, {"clients": 2})
    for client in ann:
        client.expect_close(4001, "out")
    assert ask(pair[0].server, "DELETE", f"/to?client={number(bob[1])}") == (
        200, {"clients": 1})
    bob[1].expect_close(1000)
    expect_nothing(bob[0])


@pytest.mark.parametrize("arguments", ["client=1", "user=nobody",
                                       "user=nobody&k=a"])
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_absent_targets(module_pair, method, arguments):
    body = "x" if method == "POST" else None
    assert ask(module_pair[0].server, method, f"/to?{arguments}",
               body)[0] == 404


@pytest.fixture(scope="module")
def module_pair(module_hosts):
    return module_hosts(LOCATIONS)


def test_client_that_has_left_another_host(pair):
    client = join_as(pair[1], "ann")
    path = f"/to?client={number(client)}"
    assert ask(pair[0].server, "GET", path) == (200, {"clients": 1})
    client.leave()
    wait_until(lambda: ask(pair[0].server, "GET", path)[0] == 404, seconds(5),
               "the end of the client")
    assert ask(pair[0].server, "POST", "/to?user=ann", "x")[0] == 404


def test_client_in_another_resource_is_not_found(pair):
    client = join_as(pair[1], key="a")
    path = f"/to?client={number(client)}"
    assert ask(pair[0].server, "POST", f"{path}&k=b", "x")[0] == 404
    assert ask(pair[0].server, "POST", f"{path}&k=a", "y")[0] == 200
    assert direct(client) == "y"


def test_large_message_to_another_host(pair):
    client = join_as(pair[1])
    text = "x" * 700_000
    for _ in range(3):
        assert ask(pair[0].server, "POST", f"/to?client={number(client)}",
                   text, seconds(10)) == (200, {"clients": 1})
        assert direct(client, seconds(10)) == text


def test_messages_of_one_publisher_stay_in_order(pair):
    """Also those to the client and those to its user."""
    client = join_as(pair[1], "ann")
    link = pair[0].server.open()
    for index in range(60):
        target = "user=ann" if index % 2 else f"client={number(client)}"
        link.send(request("POST", f"/to?{target}", str(index)))
        response = link.read_response()
        assert json.loads(response.body) == {"clients": 1}
    assert [direct(client) for _ in range(60)] == [
        str(index) for index in range(60)]


def test_many_publishers_at_once(pair):
    clients = pair.on_each_worker(Host.join, "/room?k=a&user=ann")
    links = [host.server.open() for host in pair for _ in range(10)]
    for index in range(20):
        for each, link in enumerate(links):
            link.send(request("POST", "/to?user=ann", f"{each} {index}"))
        for link in links:
            assert json.loads(link.read_response().body) == {
                "clients": len(clients)}
    for client in clients:
        found = [direct(client).split() for _ in range(20 * len(links))]
        for each in range(len(links)):
            assert [int(index) for one, index in found if one == str(each)
                    ] == list(range(20))


def test_first_request_after_the_start_of_a_host(hosts):
    """A host is known to the others before its first client is connected."""
    group = hosts(LOCATIONS, count=1)
    for index in range(3):
        client = join_as(group.add(), f"user{index}")
        assert ask(group[0].server, "POST", f"/to?user=user{index}", "x") == (
            200, {"clients": 1})
        assert direct(client) == "x"


def inboxes(redis):
    """(entries, bytes) of all inboxes."""
    return (sum(redis.command("XLEN", key) for key in redis.keys("ws:{0}in:*")),
            sum(int(redis.command("GET", key) or 0)
                for key in redis.keys("ws:{0}ib:*")))


def test_entries_are_removed_when_they_have_been_handled(pair):
    clients = pair.on_each_worker(Host.join, "/room?k=a&user=ann")
    for host in pair:
        assert ask(host.server, "POST", "/to?user=ann", "x")[0] == 200
    for client in clients:
        assert [direct(client) for _ in pair] == ["x", "x"]
    wait_until(lambda: inboxes(pair.redis) == (0, 0), seconds(5),
               "the end of the entries")
    for key in pair.redis.keys("ws:{0}in:*"):
        assert 0 < pair.redis.command("PTTL", key) <= 60_000


def test_hosts_that_stop_are_not_asked(pair):
    for host in pair:
        join_as(host)
    assert len(pair.redis.command("HKEYS", "ws:{0}inboxes")) == 2
    pair[1].server.stop()
    assert len(pair.redis.command("HKEYS", "ws:{0}inboxes")) == 1
    assert ask(pair[0].server, "POST", "/to?user=ann", "x")[0] == 404
    pair[0].server.stop()
    assert pair.redis.command("EXISTS", "ws:{0}inboxes") == 0


def test_invalid_entries_of_an_inbox_are_ignored(pair):
    client = join_as(pair[1])
    inbox = inbox_of(pair.redis, client)
    pair.allow_redis_errors()
    for text in ("", "x", "q a 1", "q a 999 1\nm", "q a 1 x\n", "q a 0 0\nz",
                 "a a 0 1\n", "q a 0 1\nm\x01#"):
        pair.redis.command("XADD", inbox, "*", "e", text)
    pair.redis.command("PUBLISH", inbox, "")
    assert ask(pair[0].server, "POST", f"/to?client={number(client)}",
               "x") == (200, {"clients": 1})
    assert direct(client) == "x"
    expect_nothing(client)


def inbox_of(redis, client):
    """The inbox of the client's host."""
    known = redis.command("HGETALL", "ws:{0}inboxes")
    [uid] = [uid for uid, prefix in zip(known[::2], known[1::2])
             if int(prefix) == number(client) >> 40]
    return f"ws:{{0}}in:{uid}"


def entry_for(client, text):
    """A message that wants no answer."""
    target = str(number(client))
    return f"q nobody 0 0\nm\x01#4:room0:{len(target)}:{target}{text}"


def test_lost_wake_up_only_delays(pair):
    """The leader also compares when it renews its lease."""
    client = join_as(pair[1])
    pair.redis.command("XADD", inbox_of(pair.redis, client), "*", "e",
                       entry_for(client, "late"))
    assert direct(client, seconds(8)) == "late"


def test_entry_that_a_failover_brings_back_arrives_once(pair):
    """A replica that takes over may not know yet that it has been handled."""
    client = join_as(pair[1])
    inbox = inbox_of(pair.redis, client)
    for _ in range(3):
        for index in (1, 2):
            pair.redis.command("XADD", inbox, f"1790000000000-{index}", "e",
                               entry_for(client, f"{index}"))
        pair.redis.command("PUBLISH", inbox, "")
        wait_until(lambda: pair.redis.command("XLEN", inbox) == 0, seconds(5),
                   "the end of the entries")
        pair.redis.command("DEL", inbox)
    assert [direct(client) for _ in range(2)] == ["1", "2"]
    expect_nothing(client)


# In one turn of the event loop, in microseconds of processor time.
MAX_TURN = 30_000


def test_flood_of_publishers_stalls_no_worker(hosts, run_folder):
    with preloaded(run_folder, "turn_time") as preload, preload.environment():
        group = hosts(LOCATIONS, workers=1)
        clients = [join_as(host, "ann") for host in group for _ in range(20)]
        links = [host.server.open() for host in group for _ in range(8)]
        assert ask(group[0].server, "POST", "/to?user=ann", "x")[0] == 200
        preload.number = 0
        for link in links:
            link.send(100 * request("POST", "/to?user=ann", 1000 * "x"))
        for link in links:
            for _ in range(100):
                response = link.read_response(seconds(20))
                assert json.loads(response.body) == {"clients": len(clients)}
        assert 0 < preload.number < MAX_TURN
        for client in clients:
            assert direct(client) == "x"
            for _ in range(100 * len(links)):
                assert direct(client, seconds(10)) == 1000 * "x"


def test_full_inbox_refuses_messages(pair):
    """Its host does not run. Later it handles what it has got."""
    client = join_as(pair[1], "ann")
    link = pair[0].server.open()
    texts = [f"{index}".rjust(900_000) for index in range(4)]
    links = []
    with pair[1].standing_still():
        for text in texts:
            links.append(pair[0].server.open())
            links[-1].send(request("POST", f"/to?client={number(client)}",
                                   text))
        wait_until(lambda: inboxes(pair.redis)[0] == len(texts), seconds(10),
                   "the messages")
        for target in (f"client={number(client)}", "user=ann"):
            link.send(request("POST", f"/to?{target}", "x" * 900_000))
            response = link.read_response()
            assert response.status == 503, repr(response)
        assert inboxes(pair.redis)[0] == len(texts)
    for each in links:
        assert json.loads(each.read_response(seconds(10)).body) == {
            "clients": 1}
    assert sorted(direct(client, seconds(10)) for _ in texts) == texts
    assert counters(pair[0])["direct_failed"] == 2


def test_foreign_keys_are_not_used(pair):
    """An inbox that is no stream is an error of Redis, and heals."""
    client = join_as(pair[1])
    pair.allow_redis_errors()
    inbox = inbox_of(pair.redis, client)
    pair.redis.command("SET", inbox, "x")
    with pytest.raises(RedisError):
        pair.redis.command("XLEN", inbox)
    assert ask(pair[0].server, "POST", f"/to?client={number(client)}",
               "x")[0] == 503
    pair.redis.command("DEL", inbox)
    assert ask(pair[0].server, "POST", f"/to?client={number(client)}",
               "y") == (200, {"clients": 1})
    assert direct(client) == "y"
