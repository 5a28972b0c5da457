"""A token may cover many rooms, and a request may name many: that costs little
more than with a token that covers none."""

import json

import pytest

import rooms_client
import wire
from token_issuer import as_cookie
from worker_probe import cpu_seconds, only_worker

pytestmark = pytest.mark.alone

LOCATIONS = """
location /rooms { websocket_jwt $cookie_token KEY; websocket rooms;
                  websocket_rooms * access=token; }
"""
NAMES = [f"{number:x}" for number in range(9000)]


def cost_of_request(server, token):
    """The worker's CPU time for one request. The rooms are refused."""
    client = rooms_client.connect(server, "/rooms", **as_cookie(token))
    request = wire.text(json.dumps({"subscribe": NAMES, "token": token},
                                   separators=(",", ":")))
    before = cpu_seconds(only_worker(server))
    client.send(request)
    answer = rooms_client.read(client)
    cost = cpu_seconds(only_worker(server)) - before
    assert len(answer["refused"]) == len(NAMES)
    client.disconnect()
    return cost


def test_many_rooms_of_a_token_cost_little(nginx, issuer):
    server = nginx(LOCATIONS.replace("KEY", issuer.key_file()))
    tokens = {rooms: issuer.token(sub="42",
                                  rooms=[f"x{number}"
                                         for number in range(rooms)])
              for rooms in (1, 700)}
    costs = {rooms: min(cost_of_request(server, token) for _ in range(3))
             for rooms, token in tokens.items()}
    print(costs)
    assert costs[700] < 2 * costs[1] + 0.002, costs
