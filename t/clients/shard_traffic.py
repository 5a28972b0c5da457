"""Messages that flow through rooms of chosen shards of a Redis Cluster."""

import contextlib
import itertools

from hosts import Host, shard_of
from redis_faults import Received, wait_until_published
from sequence_publisher import SequencePublisher

LOCATIONS = """
location /room { websocket room $arg_room history=100000; }
location /publish { websocket_publish room $arg_room; }
location = /status { websocket_status; }
"""


def room_in(shard):
    """A room whose resource belongs to the shard."""
    return next(name for name in (f"r{number}" for number in itertools.count())
                if shard_of(f"room:{name}") == shard)


def room(shard):
    return f"/room?room={room_in(shard)}"


def publish(shard):
    return f"/publish?room={room_in(shard)}"


@contextlib.contextmanager
def traffic(group, shards):
    """Publishers on all hosts and listeners on all workers, for a room of each
    shard; see Traffic."""
    with contextlib.ExitStack() as stack:
        yield Traffic(group, shards, stack)


class Traffic:
    """Numbers that flow through a room of each shard."""

    def __init__(self, group, shards, stack):
        self.group = group
        self.shards = shards
        self.listeners = {
            shard: group.on_each_worker(Host.join, room(shard))
            for shard in shards}
        self.publishers = {
            shard: [stack.enter_context(SequencePublisher(
                host, publish(shard), rest=0.005,
                first=1 + 1_000_000 * index))
                for index, host in enumerate(group)]
            for shard in shards}

    def wait_for(self, count, shards=None):
        """Waits until each publisher of these shards, or of all, has published
        so many more."""
        for shard in shards or self.shards:
            for each in self.publishers[shard]:
                each.wait_for(count)

    def finish(self):
        """Ends the publishers; yields for each shard the publishers and what
        each listener received."""
        for each in itertools.chain(*self.publishers.values()):
            each.stop()
        for shard in self.shards:
            last = wait_until_published(self.group[0], publish(shard), "last")
            received = [Received(client, last)
                        for client in self.listeners[shard]]
            for each in received:
                each.check()
            yield shard, self.publishers[shard], received

    def check_that_nothing_is_lost(self):
        """All accepted messages arrived, those of each publisher in order, and
        none was refused."""
        for _, publishers, received in self.finish():
            for each in received:
                assert not each.gaps
                numbers = [int(text) for text in each.data[:-1]]
                for publisher in publishers:
                    assert not publisher.refused and not publisher.unknown
                    assert [number for number in numbers
                            if number in publisher.ids] == sorted(
                                publisher.ids)
                assert len(numbers) == sum(len(each.ids)
                                           for each in publishers)
