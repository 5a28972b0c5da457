"""Publishes numbers over HTTP in a thread while a test runs."""

import json
import threading

from nginx_server import seconds, wait_until
from publish_client import post
from raw_client import ConnectionWasReset, EndOfStream, RawClient


class SequencePublisher:
    """A thread that publishes `first`, `first` + 1 and so on to a host, within
    a `with` block.

    ids: number -> (epoch, sequence) of accepted messages. refused: number ->
    status. unknown: numbers whose connection was lost before the response, so
    they may or may not be published. rest: seconds between a response and the
    next number.
    """

    def __init__(self, host, path, rest=0.001, first=1):
        self.address = ("127.0.0.1", host.server.port)
        self.path = path
        self.rest = rest
        self.ids = {}
        self.refused = {}
        self.unknown = set()
        self.first = first
        self.last = first - 1
        self.fault = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the thread after the pending number; returns the last
        number."""
        self.over.set()
        if self.thread.ident is not None:
            self.thread.join(seconds(30))
        assert not self.thread.is_alive(), "the publisher does not end"
        assert self.fault is None, self.fault
        return self.last

    def accepted(self):
        """The accepted numbers in order."""
        return sorted(self.ids)

    def wait_for(self, count):
        """Waits until `count` more numbers were accepted."""
        wanted = len(self.ids) + count
        wait_until(lambda: len(self.ids) >= wanted or self.fault,
                   seconds(20), f"{wanted} numbers")

    def _run(self):
        client = None
        try:
            while not self.over.is_set():
                client = client or RawClient(self.address)
                self.last += 1
                if not self._publish(client):
                    client.disconnect()
                    client = None
                self.over.wait(self.rest)
        except BaseException as fault:  # stop() reports it to the test
            self.fault = fault
        finally:
            if client:
                client.disconnect()

    def _publish(self, client):
        """Returns False if the connection cannot be used again."""
        try:
            client.send(post(f"{self.last}", self.path))
            answer = client.read_response(seconds(10))
        except (ConnectionWasReset, EndOfStream, OSError):
            self.unknown.add(self.last)
            return False
        if answer.status == 200:
            name = json.loads(answer.body)["id"]
            self.ids[self.last] = tuple(map(int, name.split("-")))
        else:
            self.refused[self.last] = answer.status
        return answer.header("Connection") != "close"


def read_until(read, last):
    """The numbers that read() returns, up to and including `last`."""
    received = []
    while not received or received[-1] != last:
        received.append(int(read()))
    return received
