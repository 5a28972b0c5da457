"""Variables of nginx that a handler reads at each message: their values, and
constant memory."""

import re

import pytest

import handler_log
import wire
from worker_probe import assert_no_growth, memory, only_worker

LOCATIONS = r"""
location ~ ^/each/(?<part>\w+)$ {
    set $assigned "of nginx"; websocket probe each; websocket_timeout 1h;
    add_header X-Used "$request_id $mapped_once $msec" always;
}
location /log {
    websocket probe log; access_log %%PREFIX%%/own.log own;
}
"""
HTTP = r"""
map $arg_a $mapped { volatile; "~^(?<first>.)(.*)$" "$2-$first-$time_iso8601"; }
map $arg_a $mapped_once { "~^(.)(.*)$" "$2$1"; default none; }
log_format own '$mapped_once|$part|$request_id|$msec|$mapped';
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http=HTTP + handler_log.plugin())


def ask(client, name):
    client.text(f"ask variable {name}")
    return client.read_frame().payload.decode()


def connect(server):
    return server.connect("/each/x?a=abc&b=%20", headers=[("X-One", "one")])


@pytest.mark.parametrize("name, pattern", [
    ("remote_addr", r"127\.0\.0\.1"), ("REMOTE_ADDR", r"127\.0\.0\.1"),
    ("http_x_one", "one"), ("arg_a", "abc"), ("arg_b", "%20"),
    ("websocket_arg_b", " "), ("assigned", "of nginx"), ("part", "x"),
    ("msec", r"\d+\.\d{3}"), ("time_iso8601", r"\d{4}-.*"),
    ("mapped", r"bc-a-\d{4}-.*"), ("mapped_once", "bca"),
    ("request_id", "[0-9a-f]{32}"), ("websocket_handler", "probe"),
    ("websocket_messages_in", r"\d+"), ("nothing_such", r"\(absent\)"),
    ("http_absent", r"\(absent\)"), ("arg_absent", r"\(absent\)"),
])
def test_value(server, name, pattern):
    client = connect(server)
    for _ in range(3):
        found = ask(client, name)
        assert re.fullmatch(pattern, found), found


def test_value_that_changes_is_the_present_one(server):
    client = connect(server)
    assert [ask(client, "websocket_messages_in") for _ in range(4)] == [
        "1", "2", "3", "4"]


def test_value_that_nginx_evaluates_once_stays(server):
    """nginx keeps the value, because the configuration uses the variable too. A
    response header has the same value."""
    client = connect(server)
    given = client.response.header("X-Used").split()
    for _ in range(3):
        assert ask(client, "request_id") == given[0]
        assert ask(client, "mapped_once") == given[1] == "bca"


def test_log_has_the_values_that_it_has_without_a_question(server):
    client = server.connect("/log?a=abc")
    kept = ask(client, "request_id")
    assert ask(client, "mapped_once") == "bca"
    for index in range(100):
        ask(client, f"arg_{index}")
        ask(client, "mapped")
    client.disconnect()
    server.wait_for_log("disconnected")
    server.release_clients()
    line = server.read("own.log").splitlines()[-1].split("|")
    assert line[:2] == ["bca", "-"] and line[2] == kept
    assert re.fullmatch(r"\d+\.\d{3}", line[3])
    assert line[4].startswith("bc-a-")


def test_many_names_are_asked_for(server):
    client = connect(server)
    for index in range(300):
        assert ask(client, f"arg_{index}") == "(absent)"
        assert ask(client, "arg_a") == "abc"


@pytest.mark.parametrize("name", [
    "time_local", "request_id", "arg_a", "mapped", "mapped_once",
    "http_x_one", "websocket_arg_b", "msec", "nothing_such", "assigned"])
def test_memory_does_not_grow_with_the_messages(server, name):
    client, pid = connect(server), only_worker(server)
    sizes = []
    for _ in range(4):
        for _ in range(10):
            client.send([wire.text(f"ask variable {name}")] * 1000)
            for _ in range(1000):
                client.read_frame()
        sizes.append(memory(pid))
    assert_no_growth(sizes, 200000)
