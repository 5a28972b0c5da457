"""A send queue that is full after the Close of the connection was postponed.
The client receives no later message, and a Close with 1013."""

import os
import zlib

import pytest

import wire
from deflating_peer import RSV1
from deflating_peer import TAIL as END_OF_BLOCK
from tuned_client import connect_tuned
from worker_probe import only_worker, stopped

COUNT = 14
SIZE = 4000
TAIL = b"the same tail in all messages " * 4
LOCATIONS = """
websocket_deflate on;
websocket_deflate_context_takeover on;
location /close { websocket room k; websocket_send_queue 32k close; }
location /drop { websocket room k; websocket_send_queue 32k drop; }
location /peer { websocket room k; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    # All messages arrive at once, and few of them fit into the client's socket
    return module_nginx(LOCATIONS, listen="sndbuf=4k rcvbuf=256k")


def read_until_close(client):
    """The messages of the connection, and its Close frame."""
    inflater = zlib.decompressobj(wbits=-15)
    messages = []
    while True:
        frame = client.read_frame()
        if frame.opcode == wire.CLOSE:
            return messages, frame
        messages.append(inflater.decompress(frame.payload + END_OF_BLOCK)
                        if frame.rsv == RSV1 else frame.payload)


@pytest.mark.parametrize("deflate", ["plain", "takeover"])
@pytest.mark.parametrize("policy", ["close", "drop"])
def test_queue_full_before_a_postponed_close_has_no_gap(server, policy,
                                                        deflate):
    sent = [os.urandom(SIZE - len(TAIL)) + TAIL for _ in range(COUNT)]
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    client = connect_tuned(server, f"/{policy}", kernel_buffer=4096,
                           headers=offer if deflate == "takeover" else [])
    peer = server.connect("/peer")
    with stopped(only_worker(server)):
        client.send(b"".join(wire.binary(each) for each in sent)
                    + wire.close(1000), duplex=False)
    for each in sent:
        peer.expect_binary(each)
    messages, close = read_until_close(client)
    assert messages == sent[:len(messages)]
    assert len(messages) < COUNT
    assert close.payload == b"\x03\xf5send queue is full"
    client.expect_eof()
    client.disconnect()
    entry = server.wait_for_access_log()
    assert int(entry["websocket_dropped"]) > 0
