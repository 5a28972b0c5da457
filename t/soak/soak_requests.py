"""Requests that a soak makes of its servers, beside its clients."""

import json

from publish_client import Publisher


def send_request(server, method, path, **options):
    """One request on a connection of its own."""
    publisher = Publisher(server, path)
    try:
        return publisher.ask(method, **options)
    finally:
        publisher.client.disconnect()
        server.clients.clear()


def get_state(server, path, attempts=5):
    """The JSON object of a location. It tries again, because the worker may be
    killed meanwhile."""
    try:
        return json.loads(send_request(server, "GET", path).body)
    except (AssertionError, OSError):
        if attempts == 1:
            raise
        return get_state(server, path, attempts - 1)
