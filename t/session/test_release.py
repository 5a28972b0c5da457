"""`websocket_request release`: the request is freed, or kept if something uses
it. The session continues and ends as any other."""

import os
import re
import signal
import socket
import threading

import pytest

import plugin_builder
import wire
from nginx_server import seconds, wait_until
from preload import preloaded
from tuned_client import (TIGHT_LISTEN, connect_tight, framed, numbered,
                          send_until_refused)
from worker_probe import only_worker

HTTP = """
websocket_request release;
set_real_ip_from 127.0.0.1;
limit_conn_zone $binary_remote_addr zone=address:1m;
limit_conn_log_level info;
map $unset $by_unset { default "<$unset>"; }
"""
LOCATIONS = """
location /echo { websocket echo; }
location /kept { websocket_request keep; websocket echo; }
location /one { limit_conn address 1; websocket echo; }
location /copied { mirror /copy; mirror_request_body off; websocket echo; }
location /copied-body { mirror /copy; websocket echo; }
location /copy { internal; proxy_pass http://127.0.0.1:%%PORT1%%; }
location /after { websocket echo; post_action /after-session; }
location /after-session { return 204; }
location /granted { auth_request /grant; websocket echo; }
location /grant { internal; return 204; }
location /limited { limit_rate 100; websocket echo; }
location /redirected { error_page 402 = /request_echo; return 402; }
location /elsewhere { return 200 $unset$by_unset; }
location /setter { set $unset 1; }
location /room { websocket room $arg_k history=10; }
location /request_echo { websocket request_echo; websocket_subprotocols v1; }
location /real { websocket request_echo; }
location /unread {
    websocket echo; websocket_send_timeout 50ms;
    websocket_ping_interval off; reset_timedout_connection on;
}
"""
RELEASED = "the request is released"


@pytest.fixture(scope="module")
def server(module_nginx):
    plugin = plugin_builder.build_file("request_echo.cpp")
    return module_nginx(LOCATIONS, level="debug", ports=1,
                        http=f"websocket_plugin {plugin};" + HTTP)


def connect_released(server, path="/echo", **fields):
    """A client whose request has been freed."""
    mark = server.log_size()
    client = server.connect(path, **fields)
    server.wait_for_log(RELEASED, since=mark)
    return client


def connect_kept(server, reason, path, **fields):
    """A client whose request is kept for this reason."""
    mark = server.log_size()
    client = server.connect(path, **fields)
    server.wait_for_log(f"the request is kept: {reason}", since=mark)
    client.expect_alive()
    assert RELEASED not in server.log(mark)
    return client


# The directive

@pytest.mark.parametrize("text, error", [
    ("websocket_request free;", 'invalid value "free" in "websocket_request" '
                                'directive; expected "keep" or "release"'),
    ("websocket_request keep; websocket_request release;", "is duplicate"),
    ("websocket_request;", "invalid number of arguments"),
    ("websocket_request keep release;", "invalid number of arguments"),
])
def test_wrong_directive_fails_the_check(module_nginx, text, error):
    passed, output = module_nginx.check(
        f"location /echo {{ websocket echo; {text} }}")
    assert not passed
    assert error in output


def test_value_of_the_location_applies(server):
    mark = server.log_size()
    server.connect("/kept").expect_alive()
    assert "the request is" not in server.log(mark)


def test_requests_are_kept_by_default(nginx):
    server = nginx("location /echo { websocket echo; } #websocket_request",
                   level="debug")
    server.connect().expect_alive()
    assert "the request is" not in server.log()


# Reasons to keep a request

def test_counted_connection_is_kept_and_counted(server):
    client = connect_kept(server, "another module has a cleanup", "/one")
    assert server.request(wire.upgrade_request("/one")).status == 503
    client.leave()
    client.disconnect()
    server.wait_for_access_log(status=101)
    server.connect("/one").expect_alive()


@pytest.fixture
def mirrored_to(server):
    with socket.create_server(("127.0.0.1", server.ports[0])) as listener:
        listener.settimeout(seconds(5))
        yield listener


@pytest.mark.parametrize("path", ["/copied", "/copied-body"])
def test_mirrored_request_is_kept(server, mirrored_to, path):
    client = connect_kept(server, "nginx still processes it", path)
    copy, _ = mirrored_to.accept()
    with copy:
        copy.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    client.expect_alive()
    client.leave()
    client.disconnect()
    assert server.wait_for_access_log(status=101)["websocket_close_by"] \
        == "client"


def test_request_with_a_body_is_kept(server):
    connect_kept(server, "it has a body", "/echo", body=b"abc",
                 headers=[("Content-Length", "3")]).leave()


def test_request_before_a_post_action_is_kept(server):
    client = connect_kept(server, "a post_action follows", "/after")
    client.leave()
    client.disconnect()
    server.wait_for_access_log(uri="/after-session")


def test_address_of_a_redirected_request_is_kept(server):
    client = server.connect("/redirected", headers=[("X-Real-IP", "192.0.2.3")])
    server.wait_for_log("the request is kept: another module has a cleanup")
    client.expect_text("connected /request_echo|||192.0.2.3|||")
    client.leave()
    client.disconnect()
    assert server.wait_for_access_log()["remote_addr"] == "192.0.2.3"


def test_unused_request_is_released(server):
    for path in ("/granted", "/limited", "/echo"):
        client = connect_released(server, path)
        client.text("x")
        client.expect_text("x")
        client.leave()


# Sessions without a request

def test_message_cut_by_the_release_is_whole(server):
    data = framed(numbered(20, 3000))
    client = server.open()
    client.send(wire.upgrade_request("/echo") + data[:700])
    client.read_response()
    server.wait_for_log(RELEASED)
    client.send(data[700:])
    for message in numbered(20, 3000):
        client.expect_text(message)


def test_handler_reads_what_is_saved_of_the_request(server):
    client = connect_released(server, "/request_echo/%41?a=b%20c",
                              subprotocols=["v1"], headers=[("X-Name", "me")])
    line = "/request_echo/A|a=b%20c|b c|127.0.0.1|v1"
    client.expect_text(f"connected {line}|me|me")
    for _ in range(2):
        client.text("x")
        client.expect_text(f"me {line}||")
        client.expect_text(f"me {line}||")
    client.close(4001, "bye")
    client.expect_close(4001)
    client.disconnect()
    assert server.wait_for_log("gone 4001 bye").endswith(f"{line}||")


def test_handler_knows_the_address_by_realip(server):
    client = connect_released(server, "/real",
                              headers=[("X-Real-IP", "2001:db8::7")])
    client.expect_text("connected /real|||2001:db8::7|||")
    client.text("x")
    client.expect_text(" /real|||2001:db8::7|||")
    client.expect_text(" /real|||2001:db8::7|||")
    client.leave()
    client.disconnect()
    entry = server.wait_for_access_log(status=101)
    assert entry["remote_addr"] == "2001:db8::7"


def test_room_serves_clients_without_requests(server):
    first = connect_released(server, "/room?k=r", subprotocols=["room.v1.json"])
    first.read_frame()
    first.text('{"data":"early"}')
    assert b'"early"' in first.read_frame().payload
    late = connect_released(server, "/room?k=r&since=0")
    late.expect_text("early")
    late.text("raw")
    late.expect_text("raw")
    assert b'"raw"' in first.read_frame().payload
    first.leave()
    first.disconnect()
    assert server.wait_for_access_log()["websocket_resource"] == "r"


def test_variables_of_other_locations_are_accepted(server):
    connect_released(server).leave()
    assert "uninitialized" not in server.log()


def test_client_that_does_not_read_is_ended(server):
    client = connect_released(server, "/unread")
    with pytest.raises((AssertionError, OSError)):
        while True:  # until the server has ended the connection
            client.send(wire.binary(bytes(60000)), duplex=False)
    entry = server.wait_for_access_log(websocket_close_by="timeout")
    assert entry["websocket_close_code"] == "1006"


def stub_status(server):
    """(active, accepted, handled, requests, reading, writing, waiting)"""
    return [int(number)
            for number in re.findall(r"\d+", server.control("/active"))]


def test_stub_status_counts_each_request_once(server):
    # Each query itself is a connection and a request
    before = stub_status(server)
    clients = [connect_released(server) for _ in range(5)]
    during = stub_status(server)
    assert during[0] == before[0] + 5
    assert during[3] == before[3] + 6
    assert during[4:6] == before[4:6]
    for client in clients:
        client.leave()
        client.disconnect()
    wait_until(lambda: server.active_connections() == 0, 5, "the ends")
    mark = stub_status(server)
    assert mark[1] - before[1] == mark[3] - before[3]
    assert mark[4:] == before[4:]


# The end of workers

@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_end_of_nginx_sends_a_close_and_is_logged(nginx, number, tls):
    server = nginx(http="websocket_request release;", tls=tls, workers=2)
    clients = [server.connect(tls=tls) for _ in range(20)]
    for client in clients:
        client.expect_alive()
    server.send_signal(number)
    for client in clients:
        client.expect_close(1001)
        client.close(1001)
        client.disconnect()
    server.wait_for_exit()
    entries = server.access_log(status=101)
    assert len(entries) == 20
    assert {entry["websocket_close_code"] for entry in entries} == {"1001"}


def test_reload_with_other_variables_keeps_those_of_the_client(nginx):
    """The old worker logs with the old configuration, the new one with its
    own."""
    server = nginx("location /echo { websocket echo; }",
                   http="websocket_request release;", workers=2)
    old = connect_all(server, 4)
    path = f"{server.prefix}/nginx.conf"
    with open(path, encoding="ascii") as file:
        text = file.read()
    with open(path, "w", encoding="ascii") as file:
        file.write(text.replace("websocket_request release;", """
            websocket_request release;
            log_format other '$http_b$arg_c$http_d$http_e';
            map $http_f $g { default $http_h; }
            server { listen 127.0.0.1:%s; access_log logs/x other; }
            """ % server.tls_port).replace("logs/x", f"{server.prefix}/x"))
    workers = server.reload()
    new = connect_all(server, 4)
    for client in old:
        client.expect_close(1001)
        client.close(1001)
        client.disconnect()
    server.wait_for_workers_gone(workers)
    for client in new:
        client.leave()
        client.disconnect()
    server.wait_for_access_log(8, status=101, uri="/echo")


def connect_all(server, count):
    clients = [server.connect(headers=[("Referer", "x")])
               for _ in range(count)]
    for client in clients:
        client.expect_alive()
    return clients


def test_shutdown_timeout_ends_clients_with_full_queues(nginx):
    server = nginx("location /echo { websocket echo;"
                   " websocket_close_timeout 60s; }",
                   http="websocket_request release;", listen=TIGHT_LISTEN,
                   main="worker_shutdown_timeout 300ms;")
    clients = [connect_tight(server) for _ in range(3)]
    for client in clients:
        send_until_refused(client, wire.text("x" * 16384))
    server.send_signal(signal.SIGQUIT)
    server.wait_for_exit()
    assert len(server.access_log(status=101)) == 3


def test_killed_worker_does_not_disturb_the_new_one(nginx):
    server = nginx(http="websocket_request release;")
    server.allow_errors("exited on signal 9")
    client = server.connect()
    client.expect_alive()
    pid = only_worker(server)
    server.send_signal(signal.SIGKILL, pid)
    client.expect_eof()
    wait_until(lambda: server.serving_pid() not in (None, pid), 5, "another")
    late = server.connect()
    late.expect_alive()
    late.leave()


def test_many_sessions_leak_nothing(nginx):
    """Four threads run sessions, each with one of several ends."""
    server = nginx(http="websocket_request release;", tls=True, workers=2)

    def visit(first):
        for index in range(first, 200, 4):
            client = server.connect(tls=index % 8 == 0)
            client.text(str(index))
            client.expect_text(str(index))
            if index % 3 == 0:
                client.leave()
            elif index % 3 == 1:
                client.abort()
            client.disconnect()

    sides = [threading.Thread(target=visit, args=(first,))
             for first in range(4)]
    for side in sides:
        side.start()
    for side in sides:
        side.join()
    server.wait_for_access_log(200, status=101)


# No memory

REQUEST_POOL = 4096


@pytest.fixture
def memory_failure(run_folder):
    """posix_memalign() in nginx fails for the size that is set."""
    with preloaded(run_folder, "malloc_failer") as preload, \
            preload.environment():
        yield preload


def test_end_without_memory_for_the_log_is_reported(memory_failure, nginx):
    server = nginx(http="websocket_request release;")
    client = server.connect("/echo?a=b")
    client.expect_alive()
    server.allow_errors(r"posix_memalign\(16, 4096\) failed"
                        r"|no memory for the access log")
    memory_failure.number = REQUEST_POOL
    client.leave()
    client.disconnect()
    line = server.wait_for_log(r"\[error\].*no memory for the access log")
    memory_failure.number = 0
    assert '"GET /echo?a=b HTTP/1.1"' in line
    server.wait_for_log("websocket: closed by client, code 1000")
    server.connect().expect_alive()
    assert not server.access_log(status=101)
