"""Requests for one client or one user, and the objects that these get."""

import json
from urllib.parse import quote

from publish_client import request
from room_client import join, read_type

LOCATIONS = r"""
location = /room { websocket_user $websocket_arg_user; websocket room $arg_k; }
location = /rooms { websocket_user $websocket_arg_user; websocket rooms;
                    websocket_rooms * presence=on; }
location = /to { websocket_publish room $arg_k client=$arg_client
                                               user=$websocket_arg_user; }
"""


def ask(server, method, path, body=None, timeout=None):
    """The response, and its object if it is 200."""
    link = server.open()
    link.send(request(method, path, body))
    response = link.read_response(*([timeout] if timeout else []))
    link.disconnect()
    return (response.status,
            json.loads(response.body) if response.status == 200 else None)


def join_as(host, user="", key="a", **options):
    """A client of a room of that host."""
    return join(host.server, f"/room?k={key}&user={quote(user)}", **options)


def number(client):
    return client.welcome["client"]


def direct(client, timeout=None):
    """The data of the next object, a message for this client."""
    found = read_type(client, "direct", *([timeout] if timeout else []))
    assert set(found) == {"type", "time", "data"}
    return found["data"]
