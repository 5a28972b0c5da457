"""Lifetimes of a handler's resources, also at the end of a worker."""

import signal

import pytest

import handler_log
import wire
from nginx_server import seconds, wait_until

LOCATIONS = """
location /plain { websocket probe plain; }
location /keyless { websocket probe keyless$arg_k resource=null; }
location /room { websocket probe room$arg_k; }
location /status { websocket probe status$arg_k status=403; }
location /null { websocket probe null$arg_k created=null; }
location /leaving {
    websocket probe leaving$arg_k
        "disconnected=self late;close self 4000 late;ping x;all left";
}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    yield from handler_log.checked_server(module_nginx, LOCATIONS)


def test_resource_that_cannot_be_created(server):
    for _ in range(2):
        response = server.request(wire.upgrade_request("/keyless?k=1"))
        assert response.status == 500
    assert not handler_log.history(server)


def test_client_that_cannot_be_created_leaves_no_resource(server):
    response = server.request(wire.upgrade_request("/null?k=1"))
    assert response.status == 500
    handler_log.wait_for_lines(server, "resource destroyed")
    assert handler_log.history(server) == ["resource created",
                                           "resource destroyed"]


def test_resource_ends_with_its_last_client(server):
    first, second = (server.connect("/room?k=1") for _ in range(2))
    first.leave()
    first.disconnect()
    second.text("ask count")
    second.expect_text("1")
    second.leave()
    second.disconnect()
    handler_log.wait_for_lines(server, "resource destroyed", key="room1")
    assert handler_log.matching(server, "resource.*", "room1") == [
        "resource created", "resource destroyed"]
    assert handler_log.history(server, "room1")[-2].startswith("destroyed ")


def test_resource_is_created_again(server):
    for count in range(1, 4):
        client = server.connect("/room?k=2")
        client.leave()
        client.disconnect()
        handler_log.wait_for_lines(server, "resource destroyed", count,
                                   key="room2")
    assert len(handler_log.matching(server, "resource created", "room2")) == 3


def test_resource_of_a_constant_key_stays(server):
    for _ in range(3):
        client = server.connect("/plain")
        client.leave()
        client.disconnect()
    handler_log.wait_for_lines(server, r"destroyed \d+", 3)
    assert not handler_log.matching(server, "resource destroyed")
    assert len(handler_log.matching(server, "resource created", "plain",
                                    since=0)) == 1


def test_refused_client_leaves_no_resource(server):
    response = server.request(wire.upgrade_request("/status?k=1"))
    assert response.status == 403
    assert handler_log.history(server) == ["resource created",
                                           "resource destroyed"]


def test_key_separates_resources(server):
    one, two = server.connect("/room?k=a"), server.connect("/room?k=b")
    one.text("all for a;ask name;ask count")
    for text in ["for a", "rooma", "1"]:
        one.expect_text(text)
    two.expect_alive()


def test_resource_is_held_by_a_client_on_its_way(server):
    """The last client leaves in the same turn in which the next one
    connects."""
    worker, = server.worker_pids()
    for _ in range(20):
        leaving = server.connect("/room?k=way")
        coming = server.open()
        server.send_signal(signal.SIGSTOP, worker)
        coming.send(wire.upgrade_request("/room?k=way"))
        leaving.abort()
        server.send_signal(signal.SIGCONT, worker)
        assert coming.read_response().status == 101
        coming.text("ask count")
        coming.expect_text("1")
        coming.leave()
        coming.disconnect()
    handler_log.wait_for_lines(server, r"destroyed \d+", 40)


# The end of the worker

@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM],
                         ids=["QUIT", "TERM"])
def test_end_of_nginx(nginx, number):
    server = nginx(LOCATIONS, http=handler_log.plugin())
    clients = [server.connect(path) for path in
               ("/plain", "/room?k=1", "/room?k=1", "/leaving", "/plain")]
    server.send_signal(number)
    for client in clients:
        client.expect_close(1001)
        client.close(1001)
    for client in clients:
        client.disconnect()
    server.wait_for_exit()
    handler_log.check_client_events(server)
    gone = handler_log.matching(server,
                                r'disconnected \d+ 1001 ".*shutting down.*"')
    assert len(gone) == 5
    created = handler_log.matching(server, "resource created")
    assert len(created) == len(handler_log.matching(
        server, "resource destroyed")) == 3


def test_end_of_nginx_while_clients_close_each_other(nginx):
    server = nginx("""
        location /mutual {
            websocket probe mutual "disconnected=close others 4000;all x"; }
        """, http=handler_log.plugin())
    clients = [server.connect("/mutual") for _ in range(10)]
    server.send_signal(signal.SIGTERM)
    server.wait_for_exit()
    for client in clients:
        client.disconnect()
    handler_log.check_client_events(server)
    assert len(handler_log.matching(server, "disconnected .*")) == 10


def test_reload_ends_clients_and_resources_of_the_old_worker(nginx):
    server = nginx(LOCATIONS, http=handler_log.plugin())
    old_client = server.connect("/plain")
    old = server.reload()
    new_client = server.connect("/plain")
    old_client.expect_failure(1001)
    old_client.disconnect()
    server.wait_for_workers_gone(old)
    assert len(handler_log.matching(server, "resource created")) == 2
    assert len(handler_log.matching(server, "resource destroyed")) == 1
    new_client.expect_alive()
    new_client.disconnect()
    server.stop()
    handler_log.check_client_events(server)


def test_worker_leaves_though_timers_run(nginx):
    server = nginx("""
        location /ticking {
            websocket probe ticking "started=every 10 -1 all tick"; }
        """, http=handler_log.plugin())
    client = server.connect("/ticking")
    client.expect_text("tick")
    server.send_signal(signal.SIGQUIT)
    wait_until(lambda: client.read_frame().close_code == 1001, seconds(5),
               "Close")
    client.close(1001)
    client.disconnect()
    server.wait_for_exit(timeout=4)
    handler_log.check_client_events(server)
