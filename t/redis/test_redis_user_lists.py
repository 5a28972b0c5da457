"""Lists of the users of all hosts, over HTTP and for clients of rooms."""

import rooms_client
from direct_client import LOCATIONS, ask, join_as
from nginx_server import seconds, wait_until
from room_client import read
from test_redis_direct import inboxes, pair  # noqa: F401


def users(*pairs):
    return [{"user": user, "clients": count} for user, count in pairs]


def test_pages_of_users_are_merged(pair):
    names = [("b", "a", "b", "é", ""), ("c", "a", "Z")]
    clients = [join_as(host, name) for host, those in zip(pair, names)
               for name in those]
    path = "/to?k=a&presence=1"
    everybody = users(("Z", 1), ("a", 2), ("b", 2), ("c", 1), ("é", 1))
    for host in pair:
        for key in ("k=a&", ""):
            assert ask(host.server, "GET", f"/to?{key}presence=1") == (
                200, {"clients": 8, "users": everybody, "more": False})
        for limit in range(1, 6):
            found, after = [], ""
            while True:
                page = ask(host.server, "GET",
                           f"{path}&limit={limit}&after={after}")[1]
                assert page["clients"] == 8 and len(page["users"]) <= limit
                found += page["users"]
                if not page["more"]:
                    break
                assert len(page["users"]) == limit
                after = found[-1]["user"]
            assert found == everybody
    assert ask(pair[0].server, "GET", f"{path}&limit=0")[0] == 400
    for client in clients:
        client.disconnect()


def test_presence_in_rooms_lists_users_of_all_hosts(pair):
    ann, bob = (rooms_client.connect(host.server, f"/rooms?user={name}")
                for host, name in zip(pair, ("ann", "bob")))
    other = rooms_client.connect(pair[1].server, "/rooms?user=ann")
    for client in (ann, bob, other):
        rooms_client.subscribe(client, "a")
    wait_until(lambda: rooms_client.ask(ann, presence="a")["clients"] == 3,
               seconds(5), "the count of the clients")
    assert rooms_client.ask(ann, presence="a", ref=1) == {
        "type": "presence", "ref": 1, "room": "a", "clients": 3,
        "users": users(("ann", 2), ("bob", 1)), "more": False}
    assert rooms_client.ask(bob, presence="a", after="ann")["users"] == users(
        ("bob", 1))
    assert rooms_client.ask(bob, presence="b")["message"] == "not subscribed"


def test_long_place_in_a_list_crosses_shortened(pair):
    """A place that is longer than a user finds the same users."""
    longest = "u" * 256
    ann = rooms_client.connect(pair[0].server, "/rooms?user=ann")
    other = rooms_client.connect(pair[1].server, f"/rooms?user={longest}")
    for client in (ann, other):
        rooms_client.subscribe(client, "a")
    wait_until(lambda: rooms_client.ask(ann, presence="a")["clients"] == 2,
               seconds(5), "the count of the clients")
    for after, found in ((longest[1:], users((longest, 1))), (longest, []),
                         (longest + "a" * 50_000, []),
                         ("t" * 50_000, users((longest, 1)))):
        assert rooms_client.ask(ann, presence="a", after=after
                                )["users"] == found
    with pair[1].standing_still():
        rooms_client.send(ann, presence="a", after="t" * 900_000)
        wait_until(lambda: inboxes(pair.redis)[0] == 1, seconds(10),
                   "the request")
        assert inboxes(pair.redis)[1] < 1000
    # The other host may have stood still for longer than command_timeout
    answer = read(ann, seconds(10))
    assert answer.get("users", answer.get("message")) in (
        users((longest, 1)), "other hosts are unreachable")


def test_refs_that_wait_for_other_hosts_are_limited(pair):
    ann, bob = (rooms_client.connect(host.server, f"/rooms?user={name}")
                for host, name in zip(pair, ("ann", "bob")))
    for client in (ann, bob):
        rooms_client.subscribe(client, "a")
    assert read(ann)["type"] == "joined"
    refs = ["x" * 30_000, "y" * 40_000]
    with pair[1].standing_still():
        for ref in refs:
            rooms_client.send(ann, presence="a", ref=ref)
        assert rooms_client.ask(ann, presence="a", ref=3) == {
            "type": "error", "ref": 3, "room": "a",
            "message": "too many requests wait"}
    assert sorted(read(ann, seconds(10))["ref"] for _ in refs) == refs
    assert rooms_client.ask(ann, presence="a", ref=4)["type"] == "presence"


def test_presence_in_rooms_needs_no_location_that_publishes(hosts):
    group = hosts(r"""
        location = /rooms { websocket_user $websocket_arg_user;
                            websocket rooms; websocket_rooms * presence=on; }
        """)
    ann, bob = (rooms_client.connect(host.server, f"/rooms?user={name}")
                for host, name in zip(group, ("ann", "bob")))
    rooms_client.subscribe(bob, "a")
    rooms_client.subscribe(ann, "a")
    for client in (ann, bob):
        rooms_client.send(client, presence="a")
        while (found := read(client))["type"] != "presence":
            assert found["type"] == "joined"
        assert found["users"] == users(("ann", 1), ("bob", 1))
