"""nginx's own directives in locations with websocket_publish: access, limits,
pages, subrequests, HTTP/2, variables."""

import json
import os

import pytest

from http2_client import Http2Client
from nginx_config import WEBSOCKET_FIELDS
from publish_client import (BINARY, Publisher, answer_of, expect_refused, post,
                            refusals, request)

HTTP = """
limit_req_zone $uri zone=posts:1m rate=1r/m;
map $websocket_resource $of_resource { default other; "room 1" one; }
keepalive_requests 100000;
"""
USER = "Authorization", "Basic dXNlcjpzZWNyZXQ="  # user:secret

LOCATIONS = """
location /clients { websocket echo "room $arg_room"; }
location /publish {
    websocket_publish echo "room $arg_room";
    add_header X-Key <$websocket_resource|$of_resource> always;
    add_header X-Handler <$websocket_handler> always;
}
location /listed {
    websocket_publish echo "room 1";
    websocket_origins https://example.org;
}
location /any { websocket_publish echo "room 1"; websocket_origins any; }
location /itself { websocket_publish echo <$websocket_resource>; }
location /basic {
    websocket_publish echo "room $arg_room";
    auth_basic words;
    auth_basic_user_file %%PREFIX%%/users;
}
location /denied { websocket_publish echo "room 1"; deny all; }
location /readers {
    websocket_publish echo "room 1";
    limit_except GET { deny all; }
}
location /writers {
    websocket_publish echo "room 1";
    limit_except POST { allow all; }
}
location /limited { websocket_publish echo "room 1"; limit_req zone=posts; }
location /if {
    websocket_publish echo "room $arg_room";
    websocket_max_message_size 100;
    set $tagged "";
    if ($arg_tag) { add_header X-Tag $arg_tag; }
    if ($arg_refuse) { return 409; }
}
location /mirrored {
    mirror /mirror;
    mirror /mirror;
    proxy_pass http://127.0.0.1:%%PORT%%/page;
}
location /mirror {
    internal;
    websocket_publish echo "room 1";
    websocket_max_message_size 1000;
}
location /bodiless { mirror /mirror; mirror_request_body off;
    proxy_pass http://127.0.0.1:%%PORT%%/page; }
location /guarded { auth_request /guard; try_files /missing @page; }
location /guard { internal; websocket_publish echo "room $arg_room"; }
location /page { return 200 page; }
location /counts.html { ssi on; ssi_types *; }
location @page { return 200 page; }
location @publish { websocket_publish echo "room $arg_room"; }
location /fallback { try_files /missing @publish; }
location /nested {
    websocket_publish echo "room 1";
    location /nested/none { return 200 none; }
}
location /other { return 200 "<$websocket_resource|$websocket_handler>"; }
"""

SERVERS = """
server {
    listen 127.0.0.1:%%PORT1%% http2;
    location /publish { websocket_publish echo "room $arg_room";
        client_body_buffer_size 1k; websocket_max_message_size 100k; }
}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    running = module_nginx(LOCATIONS, http=HTTP, servers=SERVERS, ports=1,
                           tls=True, server="root %%PREFIX%%/pages;")
    write(f"{running.prefix}/users", "user:{PLAIN}secret\n")
    return running


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def join(server, room="1"):
    return server.connect(f"/clients?room={room}")


# Access

def test_auth_basic_guards_it(server):
    client = join(server)
    server.allow_errors("no user/password")
    assert server.request(post("x", "/basic?room=1")).status == 401
    answer = answer_of(server.request(
        post("y", "/basic?room=1", headers=[USER])))
    assert answer["clients"] == 1
    client.expect_text("y")


def test_denied_request_publishes_nothing(server):
    server.allow_errors("access forbidden by rule")
    client = join(server)
    for method in ("GET", "POST", "DELETE"):
        assert server.request(request(method, "/denied")).status == 403
    client.expect_alive()
    assert not refusals(server)


def test_limit_except_denies_methods(server):
    server.allow_errors("access forbidden by rule")
    client = join(server)
    assert answer_of(server.request(request("GET", "/readers")))
    assert server.request(post("x", "/readers")).status == 403
    client.expect_alive()


def test_method_within_limit_except_is_served(server):
    client = join(server)
    Publisher(server, "/writers").post("x", clients=1)
    client.expect_text("x")
    assert Publisher(server, "/writers").close_clients() == 1
    client.expect_failure(1000)


def test_limit_req_counts(server):
    server.allow_errors("limiting requests")
    client = join(server)
    answer_of(server.request(post("first", "/limited")))
    assert server.request(post("second", "/limited")).status == 503
    client.expect_text("first")
    client.expect_alive()


def test_request_in_an_if_block(server):
    client = join(server)
    response = server.request(post("x", "/if?room=1&tag=t"))
    answer_of(response)
    assert response.header("X-Tag") == "t"
    client.expect_text("x")
    expect_refused(server, post("x" * 101, "/if?room=1&tag=t"), 413, "larger")
    assert server.request(post("x", "/if?room=1&refuse=1")).status == 409


def test_named_location(server):
    client = join(server)
    Publisher(server, "/fallback?room=1").post("x", clients=1)
    client.expect_text("x")


def test_nested_location_does_not_inherit_it(server):
    assert server.request(post("x", "/nested/none")).body == b"none"


def test_tls(server):
    client = join(server)
    Publisher(server, tls=True).post("x" * 100000, clients=1)
    client.expect_text("x" * 100000)


# Subrequests

def test_mirrored_body_is_published(server):
    client = join(server)
    response = server.request(post("mirrored", "/mirrored"))
    assert (response.status, response.body) == (200, b"page")
    client.expect_text("mirrored")
    client.expect_text("mirrored")


def test_mirror_that_refuses_does_no_harm(server):
    client = join(server)
    for body in (b"\xff", b"x" * 1001):
        response = server.request(post(body, "/mirrored"))
        assert (response.status, response.body) == (200, b"page")
    assert server.request(request("PUT", "/mirrored", "x")).body == b"page"
    client.expect_alive()
    assert [status for status, _ in refusals(server)] == (
        2 * [400] + 2 * [413] + 2 * [405])


def test_mirror_without_the_body(server):
    client = join(server)
    assert server.request(post("kept back", "/bodiless")).body == b"page"
    client.expect_text("")


def test_auth_request_asks_and_publishes_nothing(server):
    client = join(server)
    publisher = Publisher(server, "/guarded?room=1")
    for method in ("GET", "POST", "DELETE"):
        response = publisher.ask(method, body="x")
        assert (response.status, response.body) == (200, b"page")
    client.expect_alive()
    assert not refusals(server)


def test_page_may_include_the_counts(server):
    write(f"{server.prefix}/pages/counts.html",
          '[<!--# include virtual="/publish?room=ssi" -->]')
    join(server, "ssi")
    response = server.request(request("GET", "/counts.html"))
    assert json.loads(response.body)[0]["clients"] == 1


# HTTP/2

def test_http_2(server):
    http2, client = Http2Client(server), join(server, "h2")
    for body in (b"", b"short", b"x" * 10000):
        _, answer = http2.ask("/publish?room=h2", method="POST", body=body)
        assert json.loads(answer)["clients"] == 1
        client.expect_text(body)
    _, answer = http2.ask("/publish?room=h2", ("content-type", BINARY),
                          method="POST", body=b"\xff")
    client.expect_binary(b"\xff")
    assert json.loads(http2.ask("/publish?room=h2")[1]) == {
        "clients": 1, "messages": 0, "last": json.loads(answer)["id"]}
    assert http2.ask("/publish?room=h2", method="HEAD")[1] == b""
    _, answer = http2.ask("/publish?room=h2&code=4000", method="DELETE")
    assert json.loads(answer) == {"clients": 1}
    client.expect_failure(4000)


def test_refusals_over_http_2(server):
    http2 = Http2Client(server)
    http2.ask("/publish?room=h2", method="POST", body=b"\xff")
    http2.ask("/publish?room=h2", ("content-length", "200000"), method="POST",
              body=b"x")
    http2.ask("/publish?room=h2", method="PUT", body=b"x")
    http2.ask("/publish?room=h2", method="GET")
    assert [status for status, _ in refusals(server)] == [400, 413, 405]


# Variables

@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
def test_variables_name_handler_and_resource(server, method):
    response = server.request(request(method, body="x"))
    assert response.header("X-Key") == "<room 1|one>"
    assert response.header("X-Handler") == "<echo>"
    entry = server.wait_for_access_log()
    assert {name: entry[name] for name in WEBSOCKET_FIELDS if entry[name]} == {
        "websocket_handler": "echo", "websocket_resource": "room 1"}


def test_own_variable_is_empty_in_the_key(server):
    Publisher(server, "/itself").post("x", clients=0)
    entry = server.wait_for_access_log()
    assert entry["websocket_resource"] == "<>"


def test_variables_are_empty_elsewhere(server):
    assert server.request(request("GET", "/other")).body == b"<|>"
    entry = server.wait_for_access_log()
    assert not any(entry[name] for name in WEBSOCKET_FIELDS)


# Pages of other sites

@pytest.mark.parametrize("path, origins, allowed", [
    ("/publish?room=1", [], True),
    ("/publish?room=1", ["http://localhost"], True),
    ("/publish?room=1", ["http://evil.example"], False),
    ("/publish?room=1", ["null"], False),
    ("/publish?room=1", ["http://localhost", "http://localhost"], False),
    ("/listed", ["https://example.org"], True),
    ("/listed", ["http://localhost"], False),
    ("/any", ["http://evil.example"], True),
])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_origin(server, method, path, origins, allowed):
    headers = [("Origin", origin) for origin in origins]
    response = server.request(request(method, path, body="words",
                                      headers=headers))
    assert response.status == (200 if allowed else 403)
    if not allowed:
        server.wait_for_log(
            "publish request refused with 403: "
            'origin ".*" is not allowed on host "localhost"'
            if len(origins) == 1 else "403: the field Origin is repeated")
