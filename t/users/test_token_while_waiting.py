"""A client whose token ends while it waits for Redis does not join."""

import json

from nginx_server import seconds, wait_until
from redis_faults import injected_fault
from room_client import JSON
from status_reader import report_of
from token_issuer import as_cookie, in_seconds

LOCATIONS = """
location /room { websocket_jwt $cookie_token KEY leeway=0s;
                 websocket room room; }
location = /status { websocket_status; keepalive_timeout 2s; }
"""


def test_token_that_ends_while_the_client_waits(hosts, start_redis, issuer):
    group = hosts(LOCATIONS.replace("KEY", issuer.key_file()), count=1,
                  redis=start_redis(keep=True), proxies=True, workers=1,
                  options="connect_timeout=200ms command_timeout=200ms "
                          "wait=20s")
    group.allow_redis_errors()
    server = group[0].server
    with injected_fault([group[0]], "cut"):
        ends = in_seconds(seconds(2))
        client, lasting = (
            server.connect("/room", subprotocols=[JSON],
                           **as_cookie(issuer.token(sub="42", **claims)))
            for claims in ({"exp": ends}, {}))
        wait_until(lambda: report_of(server)["redis"]["waiting"] == 2,
                   seconds(5), "two waiting clients")
        wait_until(lambda: in_seconds(0) > ends, seconds(5), "the end")
    client.expect_close(3000, "^unauthorized$", timeout=20)
    welcome = json.loads(lasting.read_frame(seconds(20)).payload)
    assert welcome["type"] == "welcome" and welcome["clients"] == 1
