"""The example of two hosts, with a Redis and ports of the test."""

import os
import re

import pytest

from hosts import Hosts, read_message
from nginx_server import ROOT
from room_client import publish, read_type

EXAMPLE = os.path.join(ROOT, "examples", "hosts")


def text_of(name):
    with open(os.path.join(EXAMPLE, name), encoding="utf-8") as file:
        return file.read()


@pytest.fixture
def pair(nginx, redis):
    """Both hosts, with the example's configuration files."""
    options = re.search(r"websocket_redis redis://127\.0\.0\.1:6379 (.*);",
                        text_of("hosts.conf")).group(1)
    locations = text_of("room.conf").replace("../../../examples",
                                             os.path.join(ROOT, "examples"))
    prefix = re.search(r"prefix=(\S+)", options).group(1)
    group = Hosts(nginx, redis, locations, prefix=prefix,
                  options=options.replace(f"prefix={prefix}", ""))
    yield group
    group.close()


def test_room_lives_on_both_hosts(pair):
    near, far = pair[0].join("/room/lobby"), pair[1].join("/room/lobby")
    read_type(near, "joined")
    output = publish(near, "hello")
    # The event of the other host may arrive after the welcome
    assert read_message(far) == output
    pair[1].post("/publish?room=lobby", "from a shell")
    assert read_type(near, "message")["data"] == "from a shell"


def test_each_host_serves_the_page(pair):
    for host in pair:
        response = host.server.request(
            b"GET /room/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert response.status == 200 and b"room-page.js" in response.body


@pytest.mark.parametrize("port", [8081, 8082])
def test_files_differ_in_the_port_alone(port):
    assert text_of(f"{port}.conf").replace(f":{port};", ":8081;") == \
        text_of("8081.conf")
    assert f"listen 127.0.0.1:{port};" in text_of(f"{port}.conf")
