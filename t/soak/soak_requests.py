"""Single HTTP requests of a soak to its servers."""

import json

from publish_client import Publisher


def send_request(server, method, path, **options):
    """Sends a request on a new connection; returns the response."""
    publisher = Publisher(server, path)
    try:
        return publisher.ask(method, **options)
    finally:
        publisher.client.disconnect()
        server.clients.clear()


def get_state(server, path, attempts=5):
    """The JSON object of a location. It tries again if the worker is killed."""
    try:
        return json.loads(send_request(server, "GET", path).body)
    except (AssertionError, OSError):
        if attempts == 1:
            raise
        return get_state(server, path, attempts - 1)
