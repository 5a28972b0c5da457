"""Requests that a soak makes of its servers, beside its clients."""

import json

from publish_client import Publisher


def ask(server, method, path, **options):
    """One request on a connection of its own."""
    publisher = Publisher(server, path)
    try:
        return publisher.ask(method, **options)
    finally:
        publisher.client.disconnect()
        server.clients.clear()


def tell(server, path, attempts=5):
    """What a location answers with JSON: the worker that is asked may be
    killed meanwhile."""
    try:
        return json.loads(ask(server, "GET", path).body)
    except (AssertionError, OSError):
        if attempts == 1:
            raise
        return tell(server, path, attempts - 1)
