"""Handlers in C++: the effects of exceptions, and handles whose clients have
disconnected."""

import pytest

import plugin_builder
import wire
from nginx_server import seconds

CALLS = ["resource", "connecting", "connected", "disconnected", "pong"]
LOCATIONS = "location /throwing { websocket throwing room$arg_k; }" + "".join(
    f"location /{call} {{ websocket throwing {call}$arg_k throw={call}; }}"
    for call in CALLS)


def plugin():
    return f"websocket_plugin {plugin_builder.build_file('throwing.cpp')};"


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http=plugin())


@pytest.fixture
def thrown(server):
    """Allows logged exceptions. Afterwards the worker still serves another
    client."""
    server.allow_errors(r"websocket: throwing .*(thrown in|exception|unknown)")
    bystander = server.connect("/throwing?k=bystander")
    worker = server.worker_pids()
    yield lambda where: server.wait_for_log(rf"\[error\].*thrown in {where}")
    bystander.expect_alive()
    assert server.worker_pids() == worker


# Exceptions

@pytest.mark.parametrize("path, where", [
    ("/resource", "resource"), ("/connecting", "connecting"),
    ("/throwing?throw=client", "client"),
])
def test_exception_before_the_connection_is_500(server, thrown, path, where):
    assert server.request(wire.upgrade_request(path)).status == 500
    thrown(where)


def test_refused_client_delays_no_other(server, thrown):
    """nginx keeps the connection until the refused client ends it."""
    bystander = server.connect("/throwing?k=held")
    refused = server.open()
    refused.send(wire.upgrade_request("/throwing?k=held&throw=client") + b"x")
    assert refused.read_response().status == 500
    bystander.text("later")
    bystander.expect(wire.TEXT, b"there", seconds(2))
    refused.abort()
    thrown("client")


def test_exception_in_client_connected(server, thrown):
    client = server.connect("/connected")
    client.expect_failure(1011)
    client.disconnect()
    thrown("connected")
    server.wait_for_log('throwing "connected": disconnected 1011')


def test_exception_in_client_disconnected(server, thrown):
    client = server.connect("/disconnected")
    client.leave()
    client.disconnect()
    thrown("disconnected")


def test_exception_in_a_message_ends_that_client_alone(server, thrown):
    other = server.connect("/throwing")
    client = server.connect("/throwing")
    client.send(wire.text("throw") + wire.text("after"))
    client.expect_failure(1011)
    thrown("text_message_received")
    other.text("alive")
    other.expect_text("alive")


def test_exception_not_derived_from_std_exception(server, thrown):
    client = server.connect("/throwing")
    client.text("throw 7")
    client.expect_failure(1011)
    server.wait_for_log(r"\[error\].*throwing")


def test_exception_in_check_message(server, thrown):
    client = server.connect("/throwing")
    client.text("x" * 13)
    client.expect_failure(1011)
    thrown("check_message")


def test_exception_in_pong_received(server, thrown):
    client = server.connect("/pong")
    client.send(wire.pong())
    client.expect_failure(1011)
    thrown("pong")


@pytest.mark.parametrize("command, where", [("timer", "after"),
                                            ("timers", "every")])
def test_exception_in_a_timer_is_logged(server, thrown, command, where):
    client = server.connect("/throwing?k=timer")
    client.text(command)
    thrown(where)
    client.expect_alive()


@pytest.mark.parametrize("parameter, error", [
    ("throw=check_parameters", "thrown in check_parameters"),
    ('"wrong=so not"', "so not"),
])
def test_exception_in_the_parameter_check_fails(nginx, parameter, error):
    passed, output = nginx.check(
        f"location /c {{ websocket throwing k {parameter}; }}", http=plugin())
    assert not passed
    assert any("[emerg]" in line and f'"websocket" directive: {error}' in line
               for line in output.split("\n")), output


# Only a valid part of the received message is sent back: it may not start or
# end inside a character

@pytest.mark.parametrize("text, sent", [
    ("first", "first"), ("first 7", "first 7"),
    ("first 7\N{EURO SIGN}", "first 7"),
    ("first \N{EURO SIGN}", None), ("first\N{EURO SIGN}", None),
    ("last \N{EURO SIGN}", None), ("last 6\N{EURO SIGN}", "\N{EURO SIGN}"),
    ("last 6", ""), ("last 6x", "x"),
])
def test_part_of_a_message_is_sent_back(server, text, sent):
    client = server.connect("/throwing?k=part")
    client.text(text)
    if sent is not None:
        client.expect_text(sent)
    client.expect_text("invalid" if sent is None else "sent")
    client.leave()


# Handles and loops

def test_closing_all_inside_the_loop(server):
    clients = [server.connect("/throwing?k=all") for _ in range(10)]
    clients[4].text("close all")
    for client in clients:
        got = client.read_frame()
        while got.opcode == wire.TEXT:
            assert (client, got.payload) == (clients[4], b".")
            got = client.read_frame()
        assert (got.close_code, got.close_reason) == (4000, "all")
        client.close(4000)
        client.expect_eof()


def test_handle_is_kept_past_its_client(server):
    clients = [server.connect("/throwing?k=kept") for _ in range(3)]
    clients[1].leave()
    clients[1].disconnect()
    server.wait_for_log("disconnected 1000")
    clients[2].text("handles")
    clients[2].expect_text("there gone there ")


@pytest.mark.parametrize("gone", [True, False])
def test_timer_fires_after_its_client_is_gone(server, gone):
    staying, going = (server.connect("/throwing?k=t") for _ in range(2))
    going.text("later")
    going.expect_alive()
    if gone:
        going.abort()
    staying.expect_text("gone" if gone else "there")


def test_timer_of_a_resource_that_is_gone(server):
    client = server.connect("/throwing?k=both")
    client.text("later")
    client.expect_alive()
    client.abort()
    server.wait_for_log("disconnected 1006")
    newcomer = server.connect("/throwing?k=both")
    newcomer.expect_nothing(0.1)


# Timers

def test_timer_keeps_its_state(server):
    client = server.connect("/throwing?k=count")
    client.text("count")
    for number in range(3):
        client.expect_text(f"{number}")


def test_timer_of_the_longest_time_never_fires(server):
    client = server.connect("/throwing?k=never")
    client.text("never")
    client.expect_text("set")
    client.expect_nothing(0.05)
    client.expect_alive()
