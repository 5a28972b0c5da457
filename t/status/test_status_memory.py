"""Reports with a full shared memory, and reports that fail for lack of memory
in the worker."""

import pytest

import plugin_builder
import publish_client
from nginx_server import seconds, wait_until
from preload import preloaded
from raw_client import RawClient
from status_reader import report_of, request
from worker_probe import only_worker

LOCATIONS = """
location = /json { websocket_status json; }
location = /prometheus { websocket_status prometheus; }
location ~ ^/echo/(?<key>.*)$ { websocket echo $key; }
location /room { websocket room $arg_k history=9; }
"""
# Far more calls of malloc than a report makes
MAX_CALLS = 5000
# Makes all calls fail after the one with the number
AND_LATER = 1 << 63


@pytest.fixture
def countdown(run_folder):
    """Makes the call of malloc fail whose number is set."""
    with preloaded(run_folder, "malloc_countdown") as preload, \
            preload.environment():
        yield preload


def status_of(server, path):
    """The status of the response, or None if the connection was closed."""
    client = RawClient(("127.0.0.1", server.port))
    try:
        client.send(request(path))
        return client.read_response().status
    except (AssertionError, OSError):
        return None
    finally:
        client.disconnect()


@pytest.mark.parametrize("path", ["/json", "/prometheus"])
@pytest.mark.parametrize("later", [0, AND_LATER], ids=["once", "and-later"])
def test_report_that_finds_no_memory_ends_no_worker(countdown, nginx, path,
                                                    later):
    """Each call of malloc fails in one of the reports, in half of the tests
    with all calls after it."""
    server = nginx(LOCATIONS)
    server.allow_errors("failed .12: Cannot allocate memory")
    clients = [server.connect(where) for where in
               ("/echo/1", "/echo/%22quoted%ff%c3%a9", "/room?k=many")]
    for client in clients:
        client.text("counted")
        client.expect_text("counted")
    pid = only_worker(server)
    statuses = []
    for call in range(1, MAX_CALLS):
        countdown.number = later | call
        statuses.append(status_of(server, path))
        reached = countdown.number == later
        countdown.number = 0
        assert only_worker(server) == pid
        if not reached:
            break
    assert statuses[-1] == 200
    assert 500 in statuses
    for client in clients:
        client.expect_alive()


def test_full_memory_is_counted(nginx):
    plugin = plugin_builder.build_file("message_echo.cpp")
    http = (f"websocket_plugin {plugin}; websocket_shared_memory 512k;"
            "websocket_room_memory 512k;")
    server = nginx("location = /status { websocket_status; }"
                   "location /publish {"
                   " websocket_publish message_echo key history=1000; }",
                   http=http)
    sender = publish_client.Publisher(server)
    for _ in range(20):
        sender.post("x" * 50000)
    refused = sender.ask("POST", body=b"x" * 600000)
    assert refused.status == 507
    zone = report_of(server)["zone"]
    assert zone["dropped_history"] + zone["entries"] == 20
    assert zone["dropped_history"] > 0 and zone["refused"] == 1
    assert zone["size"] * 0.5 < zone["used"] <= zone["size"] < 512 * 1024
    wait_until(lambda: "is full" in server.log(), seconds(5), "the log line")
    server.allow_errors("no memory for")
