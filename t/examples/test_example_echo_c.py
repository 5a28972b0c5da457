"""examples/echo-c: the handler in C numbers each client's messages."""

import os

import pytest

import wire
from input_splits import whole_and_bytewise
from nginx_server import ROOT

PLUGIN = os.path.join(ROOT, os.environ.get("WEBSOCKET_EXAMPLES",
                                           "build/examples"), "echo_c.so")
LOADED = {"http": f"websocket_plugin {PLUGIN};"}
LOCATIONS = """
location = /echo-c { websocket echo_c; }
location = /prefixed { websocket echo_c "prefix=message "; }
location ~ ^/keyed/(?<key>.+)$ { websocket echo_c $key; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, **LOADED)


@whole_and_bytewise
def test_text_is_echoed_after_its_number(server, cut):
    client = server.connect("/echo-c")
    client.send(wire.text("Grüße") + wire.text("") + wire.text("x" * 3), cut)
    client.expect_text("1: Grüße")
    client.expect_text("2: ")
    client.expect_text("3: xxx")
    client.leave()


def test_each_client_has_its_own_number(server):
    first, second = server.connect("/echo-c"), server.connect("/echo-c")
    for number in range(1, 12):
        first.text("a")
        first.expect_text(f"{number}: a")
    second.text("b")
    second.expect_text("1: b")
    again = server.connect("/echo-c")
    again.text("c")
    again.expect_text("1: c")


def test_binary_is_echoed_unchanged_and_counted(server):
    client = server.connect("/prefixed")
    client.binary(b"\0\xff")
    client.expect_binary(b"\0\xff")
    client.binary(b"")
    client.expect_binary(b"")
    client.text("x")
    client.expect_text("message 3: x")


def test_largest_message_is_echoed(server):
    client = server.connect("/prefixed")
    client.text("x" * 1024 * 1024)
    client.expect_text("message 1: " + "x" * 1024 * 1024)


@pytest.mark.parametrize("length, characters", [(0, "x"), (1, "~"),
                                                (100, " ")])
def test_prefix_that_fits_is_used(nginx, length, characters):
    prefix = characters * length
    server = nginx(f'location / {{ websocket echo_c "prefix={prefix}"; }}',
                   **LOADED)
    client = server.connect("/")
    client.text("x")
    client.expect_text(f"{prefix}1: x")


@pytest.mark.parametrize("prefix, error", [
    ("x" * 101, "prefix has more than 100 bytes"),
    ("Größe", "prefix has other characters than printable ASCII"),
    ("tab\t", "prefix has other characters than printable ASCII"),
    ("delete\x7f", "prefix has other characters than printable ASCII"),
])
def test_wrong_prefix_fails_the_check_with_a_message(nginx, prefix, error):
    passed, output = nginx.check(
        f'location / {{ websocket echo_c "prefix={prefix}"; }}', **LOADED)
    assert not passed
    assert f'"echo_c" in "websocket" directive: {error}' in output


def test_number_of_messages_is_logged(server):
    client = server.connect("/prefixed")
    client.text("x")
    client.expect_text("message 1: x")
    client.leave(1000)
    client.disconnect()
    server.wait_for_log(r'echo_c "/prefixed": client left with 1000 after 1 '
                        "messages")
    server.connect("/keyed/a").abort()
    server.wait_for_log(r'echo_c "a": client left with 1006 after 0 messages')


def test_reload_hands_over(server):
    old = server.connect("/echo-c")
    workers = server.reload()
    new = server.connect("/echo-c")
    old.expect_failure(1001)
    old.disconnect()
    new.text("x")
    new.expect_text("1: x")
    server.wait_for_workers_gone(workers)
