"""Redis restarts with older data. Messages that it lost are not confused with
later ones of the same id, and no other message is lost."""

import pytest

from hosts import REDIS_ERROR, SHORT_TIMEOUTS
from nginx_server import seconds
from redis_faults import (Received, publish_until_accepted, read_raw_until,
                          start_for_faults, wait_until_joined,
                          wait_until_published)
from room_client import read, read_data
from sequence_publisher import SequencePublisher

LOCATIONS = """
location /room { websocket room room history=1000; }
location /publish { websocket_publish room room; }
"""


@pytest.fixture
def pair(hosts, start_redis):
    """Two hosts, and a Redis that keeps the data of its last SAVE."""
    group = hosts(LOCATIONS, redis=start_redis(), proxies=True,
                  options=SHORT_TIMEOUTS)
    group.allow_redis_errors()
    return group


def roll_back(group):
    """Restarts Redis with the data of the last SAVE."""
    group.redis.kill()
    group.redis.start()


def post(host, *texts):
    """Publishes these texts; returns the last id."""
    epoch, number = [host.post("/publish", text) for text in texts][-1]
    return f"{epoch}-{number}"


def publish_new_epoch(host, count):
    """Publishes until `count` messages are accepted; returns their texts."""
    return [wait_until_published(host, "/publish", f"new {number}")
            for number in range(count)]


@pytest.mark.parametrize("count", [1, 3, 8],
                         ids=["fewer", "as many", "more"])
def test_host_without_clients_publishes_first(pair, count):
    """A message whose id is that of a lost one still reaches all clients."""
    near = [pair[0].join("/room", worker) for worker in (0, 1)]
    raw = [pair[0].connect("/room", worker) for worker in (0, 1)]
    old = [f"{number}" for number in range(8)]
    post(pair[1], *old[:5])
    pair.redis.command("SAVE")
    last = post(pair[1], *old[5:])
    for client in near:
        assert read_data(client, 8) == old
    for client in raw:
        assert read_raw_until(client, old[-1]) == old
    pair[0].proxy.cut()
    roll_back(pair)
    new = publish_new_epoch(pair[1], count)
    pair[0].proxy.restore()
    for client in near:
        received = Received(client, new[-1])
        received.check()
        assert received.data == new and received.gaps == [0]
    for client in raw:
        assert read_raw_until(client, "never") == [None]
    for host in pair:
        back = wait_until_joined(host, f"/room?since={last}")
        assert back.welcome["recovered"] is False
    newcomer = pair.add()
    newcomer.server.allow_errors(REDIS_ERROR)
    for host in (pair[1], newcomer):
        fresh = wait_until_joined(host, "/room?since=0")
        received = Received(fresh, new[-1])
        received.check()
        assert received.data == old[:5] + new, "no other message is lost"


def test_host_without_clients_detects_a_rollback(pair):
    """The host subscribes again with its old state after others have published
    more messages than Redis lost."""
    near = pair[0].join("/room")
    post(pair[1], "0", "1")
    pair.redis.command("SAVE")
    last = post(pair[1], "2", "3")
    assert read_data(near, 4) == ["0", "1", "2", "3"]
    near.disconnect()
    pair[0].wait_for_clients("/publish", 0)
    pair[0].proxy.cut()
    roll_back(pair)
    new = publish_new_epoch(pair[1], 5)
    pair[0].proxy.restore()
    back = wait_until_joined(pair[0], f"/room?since={last}")
    assert back.welcome["recovered"] is False
    end = wait_until_published(pair[1], "/publish", "end")
    received = Received(back, end)
    assert [text for text in received.data
            if text in new + [end]] == new + [end]


def test_message_that_only_redis_had_is_a_gap(pair):
    """The room had no message before, so its clients cannot know that they
    missed one."""
    near, raw = pair[0].join("/room"), pair[0].connect("/room")
    pair[0].proxy.cut()
    post(pair[1], "lost")
    pair.redis.kill()
    pair.redis.start(empty=True)
    pair[0].proxy.restore()
    assert read(near, seconds(20)) == {"type": "gap"}
    assert read_raw_until(raw, "never") == [None]
    raw.close(1013)


@pytest.mark.parametrize("all_receive", [True, False])
def test_repeated_rollbacks_duplicate_nothing(pair, all_receive):
    """Each rollback also removes the epoch that the last one began. No message
    arrives twice, whether or not clients had received that epoch."""
    clients = [host.join("/room", worker) for host in pair
               for worker in (0, 1)]
    old = ["0", "1", "2", "3", "4"]
    post(pair[0], *old)
    pair.redis.command("SAVE")
    post(pair[0], "lost")
    # A host that has not received it need not report a gap.
    received = {client: Received(client, "lost").data for client in clients}
    for number in range(4):
        roll_back(pair)
        (first, _), (second, last) = [
            publish_until_accepted(pair[host], "/publish", f"{number}{name}")
            for host, name in ((number // 2, "a"), (1 - number // 2, "b"))]
        if all_receive or number == 3:
            for client in clients:
                found = Received(client, second)
                assert found.gaps
                assert [text for text in found.data
                        if text in (first, second)] == [first, second]
                received[client] += found.data
    for texts in received.values():
        assert len(set(texts)) == len(texts), texts
    for host in pair:
        back = wait_until_joined(host, f"/room?since={last}")
        assert back.welcome["recovered"] is True
    newcomer = pair.add()
    newcomer.server.allow_errors(REDIS_ERROR)
    fresh = wait_until_joined(newcomer, "/room?since=0")
    accepted = old + [first, second]
    assert [text for text in Received(fresh, second).data
            if text in accepted] == accepted


def test_waiting_publishers_are_published_after_a_rollback(pair):
    """Each accepted message arrives, or a gap in its place."""
    near = [pair[0].join("/room", worker) for worker in (0, 1)]
    far = pair[1].join("/room")
    with SequencePublisher(pair[0], "/publish") as here, \
            SequencePublisher(pair[1], "/publish", first=100001) as there:
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
        received = Received(client, last)
        received.check()
        assert 1 <= len(received.gaps) <= 8, received.gaps
        for stream in (here, there):
            check_accepted(received, stream)


def both_go_on(*streams):
    for stream in streams:
        stream.wait_for(30)


def post_last(group):
    return wait_until_published(group[1], "/publish", "last")


def check_accepted(received, stream):
    """Checks that the messages of the stream are in order, with a gap in the
    place of each missing one."""
    arrived = [(index, int(text)) for index, text in enumerate(received.data)
               if text.isdigit() and stream.first <= int(text) <= stream.last]
    numbers = [number for _, number in arrived]
    assert numbers == sorted(set(numbers))
    missing = set(stream.ids) - set(numbers)
    bounds = [(0, 0)] + arrived + [(len(received.data), stream.last + 1)]
    for (index, before), (following, after) in zip(bounds, bounds[1:]):
        if any(before < number < after for number in missing):
            assert any(index < gap <= following or gap == 0 == index
                       for gap in received.gaps), (
                           before, after, received.gaps)


def test_restarts_that_lose_nothing_are_not_noticed(hosts, start_redis):
    """Neither connected clients nor a host that was cut off over several
    restarts get a gap."""
    group = start_for_faults(hosts, start_redis, LOCATIONS)
    near, far = group[0].join("/room"), group[1].join("/room")
    first = post(group[0], "first")
    texts = []
    group[0].proxy.cut()
    for number in range(3):
        group.redis.restart()
        texts.append(wait_until_published(group[1], "/publish", f"{number}"))
    group[0].proxy.restore()
    for client in (near, far):
        received = Received(client, texts[-1])
        received.check()
        assert not received.gaps and received.data[0] == "first"
        assert [text for text in received.data if text in texts] == texts
    for host in group:
        back = wait_until_joined(host, f"/room?since={first}")
        assert back.welcome["recovered"] is True


def test_user_without_info_is_logged_and_served(hosts, start_redis):
    """nginx logs that INFO is refused, and everything else works."""
    redis = start_redis()
    redis.set_user("web", "on", ">pass", "~*", "&*", "+@all", "-info")
    group = hosts(LOCATIONS, redis=redis, workers=1,
                  url=redis.url().replace("//", "//web:pass@"))
    near, far = group[0].join("/room"), group[1].join("/room")
    post(group[0], "text")
    assert read_data(near) == read_data(far) == ["text"]
    for host in group:
        host.server.allow_errors("refused to run INFO")
        host.server.wait_for_log(
            "Redis refused to run INFO: NOPERM")
