"""A leader that is stopped in the middle of its work, and continues when another
worker leads."""

import wire
from nginx_server import seconds, wait_until
from room_client import JSON, read, read_data
from socket_table import connections_of
from strace import stopped_by_write
from worker_picking import open_to

LOCATIONS = """
location /room { websocket room room history=100; }
location /publish { websocket_publish room room; }
"""


def test_replaced_leader_reports_no_sync(hosts):
    """It is stopped while it applies the messages for a handshake that waits.
    They are refused when it continues, so the handshake waits for the next
    leader."""
    group = hosts(LOCATIONS, proxies=True,
                  options="connect_timeout=10s command_timeout=10s",
                  level="notice")
    group.allow_redis_errors()
    texts = ["0", "1", "2"]
    for text in texts:
        group[1].post("/publish", text)
    host, leader = group[0], group[0].wait_for_leader()
    [other] = [pid for pid in host.pids() if pid != leader]
    client = open_to(host.server, other)
    with stopped_by_write(leader, lambda: client.send(
            wire.upgrade_request("/room?since=0", protocol=JSON))):
        host.proxy.pause()
        host.server.wait_for_log("this worker takes its place")
    wait_until(lambda: len(connections_of(leader, host.proxy.port)) == 1,
               seconds(5), "the end of the earlier lead")
    client.expect_nothing()
    host.proxy.release()
    assert client.read_response(seconds(10)).status == 101
    assert read(client)["type"] == "welcome"
    assert read_data(client, 3) == texts
