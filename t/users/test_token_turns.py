"""Each verification of a token ends the turn of its client, so that many of
them do not delay other clients."""

import json

import pytest

import wire
from strace import SENDING, traced
from test_token_end import received
from token_issuer import as_cookie
from worker_probe import only_worker, stopped

pytestmark = pytest.mark.alone

TOKENS = 300
LOCATIONS = """
location /room { websocket_jwt $cookie_token KEY; websocket room; }
location /echo { websocket echo; }
"""


def test_each_token_ends_the_turn(nginx, issuer):
    server = nginx(LOCATIONS.replace("KEY", issuer.key_file()),
                   listen="rcvbuf=4m sndbuf=4m")
    token = issuer.token(sub="42")
    flooder = server.connect("/room", subprotocols=["room.v1.json"],
                             **as_cookie(token))
    assert received(flooder)["type"] == "welcome"
    other = server.connect("/echo")
    request = wire.text(json.dumps({"token": token, "ref": 1}))
    pid = only_worker(server)
    with traced(pid, server.prefix) as trace:
        with stopped(pid):
            flooder.send(request * TOKENS, duplex=False)
            other.text("waits")
        other.expect_text("waits")
        for _ in range(TOKENS):
            assert received(flooder)["type"] == "token"
    sent = [call.descriptor for call in trace.of(SENDING) if call.result > 0]
    # One send for each turn
    assert len(sent) == TOKENS + 1
    assert min(sent.index(descriptor) for descriptor in set(sent)) == 0
    assert max(sent.index(descriptor) for descriptor in set(sent)) <= 2
