"""The Redis user of README.md may run all commands that nginx needs, with keys
of nginx alone."""

import pytest

import direct_client
import wire
from hosts import read_message
from kept_clients import expect_ends, join, wait_until_kept
from publish_client import Publisher
from readme_acl import acl_command
from redis_client import RedisError
from room_client import publish, read_type

LOCATIONS = """
location /room { websocket room room history=10 history_time=1h presence=on; }
location /publish { websocket_publish room room; }
"""


BACKEND = """
location /app {{ websocket http room pass=@app; }}
location @app {{ proxy_pass http://127.0.0.1:{port}; }}
"""


def start(hosts, start_redis, locations=LOCATIONS):
    redis = start_redis()
    redis.set_user(*acl_command()[2:])
    url = redis.url().replace("redis://", "redis://websocket:secret@")
    return hosts(locations, redis=redis, url=url, workers=1)


def assert_nothing_denied(group):
    denied = [entry for entry in group.redis.command("ACL", "LOG")
              if "websocket" in str(entry)]
    assert not denied, denied


def test_user_of_the_readme_suffices(hosts, start_redis):
    group = start(hosts, start_redis)
    near = group[0].join("/room")
    far = group[1].join("/room")
    read_type(near, "joined")
    last = publish(near, "text")["id"]
    assert read_message(far)["id"] == last
    assert Publisher(group[0].server, "/publish").post("posted")
    assert read_type(far, "message")["data"] == "posted"
    assert group[1].get_state("/publish")[:2] == (2, 2)
    back = group[1].join(f"/room?since={last}")
    assert back.welcome["recovered"] is True
    assert read_type(back, "message")["data"] == "posted"
    group.wait_for_clients("/publish", 3)
    assert Publisher(group[0].server, "/publish").close_clients() == 3
    for client in (near, far, back):
        while (frame := client.read_frame()).opcode != wire.CLOSE:
            assert frame.opcode == wire.TEXT
        assert frame.close_code == 1000
    assert_nothing_denied(group)


def test_user_of_the_readme_suffices_for_backends(backend, hosts,
                                                  start_redis):
    """Also to send the events of a host that has died."""
    group = start(hosts, start_redis, BACKEND.format(port=backend.port))
    clients = join(backend, group[0], 3)
    wait_until_kept(group.redis, clients)
    _, client = clients.popitem()
    client.disconnect()
    backend.next("disconnect")
    wait_until_kept(group.redis, clients)
    group[0].kill()
    expect_ends(backend, clients)
    wait_until_kept(group.redis, ())
    assert_nothing_denied(group)


def test_user_of_the_readme_suffices_for_single_clients(hosts, start_redis):
    group = start(hosts, start_redis, direct_client.LOCATIONS)
    clients = [direct_client.join_as(host, "ann") for host in group]
    path = f"/to?client={direct_client.number(clients[1])}"
    assert direct_client.ask(group[0].server, "POST", path, "x")[0] == 200
    assert direct_client.direct(clients[1]) == "x"
    assert direct_client.ask(group[0].server, "GET", "/to?user=ann") == (
        200, {"clients": 2})
    assert_nothing_denied(group)
    for host in group:
        host.server.stop()
    assert_nothing_denied(group)


def test_user_of_the_readme_has_no_other_keys(start_redis):
    redis = start_redis()
    redis.set_user(*acl_command()[2:])
    with redis.client() as client:
        assert client.ask("AUTH", "websocket", "secret") == "OK"
        refused = [["SET", "other", "x"], ["FLUSHALL"], ["KEYS", "*"],
                   ["CONFIG", "GET", "*"]]
        if redis.limits_channels():
            refused.append(["PUBLISH", "other", "x"])
        for args in refused:
            with pytest.raises(RedisError, match="NOPERM"):
                client.ask(*args)
