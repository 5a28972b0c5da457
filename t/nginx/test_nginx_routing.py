"""The ways in which nginx routes a request to a WebSocket location."""

import os
import re
import socket

import pytest

import wire
from nginx_server import seconds

LOCATIONS = r"""
location /prefix/ { websocket echo; }
location = /exact { websocket echo; }
location ~ ^/regex/(?<room>\w+)$ { websocket echo $room; }
location /outer { location /outer/inner { websocket echo; } }
location /wrapped {
    websocket echo;
    location ~ /nested$ { websocket echo nested; }
}
location @named { websocket echo named; }
location /internal { internal; websocket echo; }

location /rewritten { rewrite ^ /prefix/rewritten last; }
location /broken-off { rewrite ^ /anything break; websocket echo; }
location /tries { root /nowhere; try_files $uri @named; }
location /tries-uri { root /nowhere; try_files $uri /exact; }

location /if { websocket echo; if ($arg_a) { set $b $arg_a; } }
location /if-header {
    websocket echo;
    if ($arg_a) { add_header X-If $arg_a always; }
}
location /if-return { websocket echo; if ($arg_a) { return 403; } }
location /if-rewrite { if ($http_upgrade) { rewrite ^ /exact last; } }
location /except { websocket echo; limit_except GET { deny all; } }
location /except-post { websocket echo; limit_except POST { allow all; } }

location /error-named { error_page 418 = @named; return 418; }
location /error-uri { error_page 418 = /exact; return 418; }
location /error-kept { error_page 418 /exact; return 418; }
location /error-named-kept { error_page 404 @named; return 404; }
location /error-200 { error_page 418 =200 /exact; return 418; }

location /accel { proxy_pass http://127.0.0.1:%%PORT%%/accel-answer; }
location /accel-answer {
    add_header X-Accel-Redirect /internal/by-accel;
    return 204;
}
location /accel-named { proxy_pass http://127.0.0.1:%%PORT%%/accel-other; }
location /accel-other { add_header X-Accel-Redirect @named; return 204; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def assert_works(client):
    """The connection is a WebSocket; closes it."""
    client.text("hello")
    client.expect_text("hello")
    client.leave()
    client.disconnect()


@pytest.mark.parametrize("path, resource", [
    ("/prefix/any/where", "/prefix/"),
    ("/exact", "/exact"),
    ("/regex/kitchen", "kitchen"),
    ("/outer/inner/x", "/outer/inner"),
    ("/wrapped", "/wrapped"),
    ("/wrapped/nested", "nested"),
    ("/rewritten", "/prefix/"),
    ("/broken-off", "/broken-off"),
    ("/tries", "named"),
    ("/tries-uri", "/exact"),
    ("/if", "/if"),
    ("/if-header", "/if-header"),
    ("/if-return", "/if-return"),
    ("/if-rewrite", "/exact"),
    ("/except", "/except"),
    ("/error-named", "named"),
    ("/error-uri", "/exact"),
    ("/accel", "/internal"),
    ("/accel-named", "named"),
])
def test_location_is_reached_by(server, path, resource):
    assert_works(server.connect(path))
    entry = server.wait_for_access_log(status=101)
    assert entry["websocket_resource"] == resource
    assert entry["websocket_handler"] == "echo"
    assert entry["websocket_messages_in"] == "1"


@pytest.mark.parametrize("path", ["/exact", "/tries", "/error-uri", "/accel"])
def test_frames_after_the_handshake_take_the_same_way(server, path):
    client = server.connect(path, pipelined=wire.text("a") + wire.ping("b"))
    client.expect_text("a")
    client.expect_pong("b")
    assert_works(client)


@pytest.mark.parametrize("path", ["/if?a=1", "/if-header?a=1",
                                  "/except-post"])
def test_block_inside_the_location_keeps_the_handler(server, path):
    client = server.connect(path)
    if "header" in path:
        assert client.response.header("X-If") == "1"
    assert_works(client)
    entry = server.wait_for_access_log(status=101)
    assert entry["websocket_handler"] == "echo"


def test_if_returns_before_the_handshake_is_validated(server):
    response = server.request(wire.upgrade_request("/if-return?a=1"))
    assert response.status == 403


@pytest.mark.parametrize("path, status", [
    ("/error-kept", 418), ("/error-named-kept", 404), ("/error-200", 200),
])
def test_error_page_with_a_code_of_its_own_is_not_upgraded(server, path,
                                                           status):
    client = server.open()
    client.send(wire.upgrade_request(path) + wire.text("no"))
    response = client.read_response()
    assert response.status == status
    assert response.header("Sec-WebSocket-Accept") is None
    entry = server.wait_for_access_log()
    assert (entry["status"], entry["websocket_client"]) == (str(status), "")


def test_internal_location_is_not_open_to_clients(server):
    server.allow_errors("internal")
    response = server.request(wire.upgrade_request("/internal"))
    assert response.status == 404


@pytest.mark.parametrize("path", ["/exact/", "/exactly", "/regex/", "/outer"])
def test_other_paths_are_no_websockets(server, path):
    server.allow_errors("is not found|No such file")
    response = server.request(wire.upgrade_request(path))
    assert response.status == 404


# Subrequests cannot be upgraded

SUBREQUESTS = """
root %%PREFIX%%/www;
location /echo { websocket echo; }
location /authorized { auth_request /echo; websocket echo; }
location /page.html { ssi on; default_type text/html; }
location /mirrored { mirror /echo; return 200 mirrored; }
location /mirrored.html { mirror /echo; default_type text/html; }
location /copied { mirror /copy; websocket echo; }
location /copy {
    internal; proxy_pass http://127.0.0.1:%%PORT1%%;
    proxy_set_header Upgrade $http_upgrade;
}
"""
PAGE = 'before <!--#include virtual="/echo" --> after'


@pytest.fixture(scope="module")
def including(module_nginx):
    server = module_nginx(SUBREQUESTS, ports=1)
    os.mkdir(f"{server.prefix}/www")
    for name in ("page.html", "mirrored.html"):
        with open(f"{server.prefix}/www/{name}", "w", encoding="ascii") as f:
            f.write(PAGE)
    return server


def assert_refused_as_subrequest(server):
    server.wait_for_log(r"\[info\].*handshake refused.* subrequest")
    assert not server.access_log(status=101)


def test_authorization_by_a_websocket_location_is_refused(including):
    including.allow_errors("auth request unexpected status: 400")
    request = wire.upgrade_request("/authorized")
    assert including.request(request).status == 500
    assert_refused_as_subrequest(including)


def test_include_of_a_websocket_location_is_refused(including):
    response = including.request(wire.upgrade_request("/page.html"))
    assert response.status == 200
    assert re.fullmatch(b"before .*400 Bad Request.* after", response.body,
                        re.DOTALL), response.body
    assert_refused_as_subrequest(including)


def test_mirror_to_a_websocket_location_is_refused(including):
    response = including.request(wire.upgrade_request("/mirrored.html"))
    assert (response.status, response.body) == (200, PAGE.encode())
    assert_refused_as_subrequest(including)


@pytest.fixture
def mirrored_to(including):
    """Accepts the mirrored requests, which the test answers."""
    address = ("127.0.0.1", including.ports[0])
    with socket.create_server(address) as listener:
        listener.settimeout(seconds(5))
        yield listener


def accept_copy(listener):
    """Waits for the connection of a mirrored request."""
    copy, _ = listener.accept()
    copy.settimeout(seconds(5))
    assert copy.recv(65536).startswith(b"GET /copy ")
    return copy


@pytest.mark.parametrize("answer", [
    b"HTTP/1.0 200 OK\r\n\r\nhello", b"HTTP/1.0 500 No\r\n\r\n", b"",
], ids=["answered", "failing", "cut"])
def test_session_outlives_its_mirrored_request(including, mirrored_to, answer):
    including.allow_errors("upstream prematurely closed")
    client = including.connect("/copied")
    with accept_copy(mirrored_to) as copy:
        client.expect_alive()
        copy.sendall(answer)
        copy.shutdown(socket.SHUT_WR)
        while copy.recv(65536):
            pass
    client.text("on")
    client.expect_text("on")
    client.leave()
    client.disconnect()
    entry = including.wait_for_access_log(status=101)
    assert entry["websocket_close_code"] == "1000"


def test_session_that_nginx_ends_is_closed_and_logged(including, mirrored_to):
    """nginx terminates a request if its mirror is upgraded."""
    including.allow_errors("connection upgrade in subrequest")
    client = including.connect("/copied")
    with accept_copy(mirrored_to) as copy:
        copy.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        client.expect_close(1011)
        client.expect_eof()
    client.disconnect()
    entry = including.wait_for_access_log(status=101)
    assert entry["websocket_close_code"] == "1011"
    assert including.log().count("websocket: closed by server, code 1011") == 1


def test_session_ends_before_its_mirrored_request(including, mirrored_to):
    client = including.connect("/copied")
    with accept_copy(mirrored_to):
        client.leave()
        client.disconnect()
        including.wait_for_access_log(status=101)
