"""Redis comes back with less than it had: what it has forgotten is not taken
for what it numbers anew, and nothing else is lost."""

import pytest

from hosts import COMPLAINT, HASTY
from redis_faults import (Heard, hear_raw, start_for_trouble,
                          publish_until_accepted, wait_until_joined,
                          wait_until_published)
from room_client import read_data
from sequence_publisher import NumberedStream

LOCATIONS = """
location /room { websocket room room history=1000; }
location /publish { websocket_publish room room; }
"""


@pytest.fixture
def pair(hosts, start_redis):
    """Two hosts, and a Redis that keeps what it had when it was told to save
    it."""
    group = hosts(LOCATIONS, redis=start_redis(), relays=True, options=HASTY)
    group.allow_complaints()
    return group


def roll_back(group):
    """To the last SAVE."""
    group.redis.kill()
    group.redis.start()


def post(host, *texts):
    """Returns the id of the last one."""
    epoch, number = [host.post("/publish", text) for text in texts][-1]
    return f"{epoch}-{number}"


def publish_anew(host, count):
    """Returns what was accepted."""
    return [wait_until_published(host, "/publish", f"new {number}")
            for number in range(count)]


@pytest.mark.parametrize("count", [1, 3, 8],
                         ids=["fewer", "as many", "more"])
def test_host_without_clients_publishes_first(pair, count):
    """What is numbered as that what was forgotten had been is not missed."""
    near = [pair[0].join("/room", worker) for worker in (0, 1)]
    raw = [pair[0].connect("/room", worker) for worker in (0, 1)]
    old = [f"{number}" for number in range(8)]
    post(pair[1], *old[:5])
    pair.redis.command("SAVE")
    last = post(pair[1], *old[5:])
    for client in near:
        assert read_data(client, 8) == old
    for client in raw:
        assert hear_raw(client, old[-1]) == old
    pair[0].relay.cut()
    roll_back(pair)
    new = publish_anew(pair[1], count)
    pair[0].relay.heal()
    for client in near:
        heard = Heard(client, new[-1])
        heard.check()
        assert heard.data == new and heard.gaps == [0]
    for client in raw:
        assert hear_raw(client, "never") == [None]
    for host in pair:
        back = wait_until_joined(host, f"/room?since={last}")
        assert back.welcome["recovered"] is False
    newcomer = pair.add()
    newcomer.server.allow_errors(COMPLAINT)
    for host in (pair[1], newcomer):
        fresh = wait_until_joined(host, "/room?since=0")
        heard = Heard(fresh, new[-1])
        heard.check()
        assert heard.data == old[:5] + new, "nothing else is forgotten"


def test_host_whose_clients_are_gone_remembers(pair):
    """It follows the resource again later, with what it had, when others
    have published more than was forgotten."""
    near = pair[0].join("/room")
    post(pair[1], "0", "1")
    pair.redis.command("SAVE")
    last = post(pair[1], "2", "3")
    assert read_data(near, 4) == ["0", "1", "2", "3"]
    near.disconnect()
    pair[0].wait_for_clients("/publish", 0)
    pair[0].relay.cut()
    roll_back(pair)
    new = publish_anew(pair[1], 5)
    pair[0].relay.heal()
    back = wait_until_joined(pair[0], f"/room?since={last}")
    assert back.welcome["recovered"] is False
    end = wait_until_published(pair[1], "/publish", "end")
    heard = Heard(back, end)
    assert [text for text in heard.data
            if text in new + [end]] == new + [end]


@pytest.mark.parametrize("all_hear", [True, False])
def test_back_to_the_same_again(pair, all_hear):
    """Redis has forgotten the epoch as well that was begun for the last
    time: with it, or without, nothing is heard again."""
    clients = [host.join("/room", worker) for host in pair
               for worker in (0, 1)]
    old = ["0", "1", "2", "3", "4"]
    post(pair[0], *old)
    heard = {client: Heard(client, "4").data for client in clients}
    pair.redis.command("SAVE")
    post(pair[0], "lost")
    for number in range(4):
        roll_back(pair)
        (first, _), (second, last) = [
            publish_until_accepted(pair[host], "/publish", f"{number}{name}")
            for host, name in ((number // 2, "a"), (1 - number // 2, "b"))]
        if all_hear or number == 3:
            for client in clients:
                found = Heard(client, second)
                assert found.gaps
                assert [text for text in found.data
                        if text in (first, second)] == [first, second]
                heard[client] += found.data
    for texts in heard.values():
        assert len(set(texts)) == len(texts), texts
    for host in pair:
        back = wait_until_joined(host, f"/room?since={last}")
        assert back.welcome["recovered"] is True
    newcomer = pair.add()
    newcomer.server.allow_errors(COMPLAINT)
    fresh = wait_until_joined(newcomer, "/room?since=0")
    accepted = old + [first, second]
    assert [text for text in Heard(fresh, second).data
            if text in accepted] == accepted


def test_publishers_who_wait_meanwhile(pair):
    """Each message that was accepted is heard, or a gap is in its place."""
    near = [pair[0].join("/room", worker) for worker in (0, 1)]
    far = pair[1].join("/room")
    with NumberedStream(pair[0], "/publish") as here, \
            NumberedStream(pair[1], "/publish", first=100001) as there:
        for _ in range(2):
            both_go_on(here, there)
            pair.redis.command("SAVE")
            both_go_on(here, there)
            roll_back(pair)
        both_go_on(here, there)
        here.stop()
        there.stop()
    last = post_last(pair)
    for client in near + [far]:
        heard = Heard(client, last)
        heard.check()
        assert 1 <= len(heard.gaps) <= 8, heard.gaps
        for stream in (here, there):
            check_accepted(heard, stream)


def both_go_on(*streams):
    for stream in streams:
        stream.wait_for(30)


def post_last(group):
    return wait_until_published(group[1], "/publish", "last")


def check_accepted(heard, stream):
    """Those of the stream are in order; what is missing was told to be."""
    own = [(index, int(text)) for index, text in enumerate(heard.data)
           if text.isdigit() and stream.first <= int(text) <= stream.last]
    numbers = [number for _, number in own]
    assert numbers == sorted(set(numbers))
    missing = set(stream.ids) - set(numbers)
    places = [(0, 0)] + own + [(len(heard.data), stream.last + 1)]
    for (place, before), (following, after) in zip(places, places[1:]):
        if any(before < number < after for number in missing):
            assert any(place < gap <= following or gap == 0 == place
                       for gap in heard.gaps), (before, after, heard.gaps)


def test_restarts_that_lose_nothing_are_not_noticed(hosts, start_redis):
    """Neither by who stays, nor by who has been away for several."""
    group = start_for_trouble(hosts, start_redis, LOCATIONS)
    near, far = group[0].join("/room"), group[1].join("/room")
    first = post(group[0], "first")
    texts = []
    group[0].relay.cut()
    for number in range(3):
        group.redis.restart()
        texts.append(wait_until_published(group[1], "/publish", f"{number}"))
    group[0].relay.heal()
    for client in (near, far):
        heard = Heard(client, texts[-1])
        heard.check()
        assert not heard.gaps and heard.data[0] == "first"
        assert [text for text in heard.data if text in texts] == texts
    for host in group:
        back = wait_until_joined(host, f"/room?since={first}")
        assert back.welcome["recovered"] is True


def test_user_that_may_not_ask_for_the_term(hosts, start_redis):
    """It is said, and all goes on but this."""
    redis = start_redis()
    redis.command("ACL", "SETUSER", "web", "on", ">pass", "~*", "&*", "+@all",
                  "-info")
    group = hosts(LOCATIONS, redis=redis, workers=1,
                  url=redis.url().replace("//", "//web:pass@"))
    near, far = group[0].join("/room"), group[1].join("/room")
    post(group[0], "text")
    assert read_data(near) == read_data(far) == ["text"]
    for host in group:
        host.server.allow_errors("does not say whether it has forgotten")
        host.server.wait_for_log(
            "Redis does not say whether it has forgotten something: NOPERM")
