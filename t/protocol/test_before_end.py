"""Messages in the same packet as an error, a Close or the end of the stream.
Handlers get them, and the client gets their replies."""

import itertools
import json
import os
import re

import pytest

import wire
from deflating_peer import DeflatingPeer
from input_splits import whole_and_bytewise
from nginx_server import ROOT
from room_client import JSON

EXAMPLES = os.path.join(ROOT, "build", "examples")
HTTP = f"""
websocket_plugin {EXAMPLES}/echo_c.so;
websocket_plugin {EXAMPLES}/chat.so;
websocket_close_timeout 60s;
"""
LOCATIONS = """
websocket_deflate on;
websocket_max_message_size 10k;
location /echo { websocket echo; }
location /c { websocket echo_c; }
location /room { websocket room $arg_room; }
location /kept { websocket room $arg_room history=10; }
location /chat { websocket chat $arg_room; }
location /counted { websocket echo; websocket_limit_messages rate=1000/s; }
"""
HANDLERS = ["/echo", "/c", "/room", "/kept", "/json", "/chat", "/counted"]
ROOMS = {"/room", "/kept", "/json", "/chat"}
# Data after the messages, and the code of the Close that follows.
ENDS = {
    "bad-frame": (wire.frame(3), 1002),
    "bad-text": (wire.text(b"\xff"), 1007),
    "too-big": (wire.binary(bytes(11000)), 1009),
    "close": (wire.close(4000), 4000),
    "end": (b"", None),
}
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http=HTTP, tls=True)


class Member:
    """A client of one handler, with or without compression."""

    def __init__(self, server, path, room, tls=False, deflate=True):
        self.json = path == "/json"
        path = "/room" if self.json else path
        self.peer = DeflatingPeer(
            server, f"{path}?room={room}&name=me", tls=tls,
            offer="permessage-deflate" if deflate else None,
            subprotocols=[JSON] if self.json else [])
        self.client = self.peer.client
        assert self.peer.agreed == deflate

    def frame(self, text):
        """The frame of a message, compressed if agreed."""
        payload = (json.dumps({"data": text}) if self.json else text).encode()
        if not self.peer.agreed:
            return wire.text(payload)
        return wire.frame(wire.TEXT, self.peer.compress(payload), rsv=4)

    def expect(self, texts):
        """Reads these messages in this order, without the handler's presence
        texts."""
        for text in texts:
            while True:
                opcode, payload, _ = self.peer.read()
                assert opcode == wire.TEXT, (opcode, payload, text)
                if self.json:
                    received = json.loads(payload)
                    if received["type"] != "message":
                        continue
                    payload = received["data"].encode()
                if b" has joined " in payload or payload.endswith(b" has left"):
                    continue
                break
            assert re.sub(r"^(me says |\d+: )", "", payload.decode()) == text


@pytest.mark.parametrize("end, code", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("path", HANDLERS)
@pytest.mark.parametrize("deflate", [False, True], ids=["plain", "deflate"])
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@whole_and_bytewise
def test_messages_before_an_end_are_delivered(
        server, path, end, code, deflate, tls, cut):
    room = f"r{next(numbers)}"
    others = [Member(server, path, room)] if path in ROOMS else []
    sender = Member(server, path, room, tls, deflate)
    texts = [f"message {index}" for index in range(3)]
    sender.client.send(b"".join(map(sender.frame, texts)) + end,
                       cut if len(end) < 1000 else None)
    if code is None:
        sender.client.half_close()
    for member in [sender, *others]:
        member.expect(texts)
    if code is not None:
        expect_close(sender, code)
    else:
        sender.client.expect_eof()


def expect_close(member, code):
    """The next frame is a Close with this code."""
    frame = member.client.read_frame()
    assert (frame.opcode, frame.close_code) == (wire.CLOSE, code), frame
