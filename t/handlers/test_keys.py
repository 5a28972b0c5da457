"""The key of a resource: it is never empty, and equal from a path and from an
argument."""

import urllib.parse

import pytest

import wire
from publish_client import post
from room_client import join

LOCATIONS = r"""
location ~ (?s)^/path/(?<name>.*)$ { websocket room $name; }
location = /argument { websocket room $websocket_arg_room; }
location = /publish { websocket_publish room $websocket_arg_room; }
location = /raw { websocket room $arg_room; }
location = /fixed { websocket room "${websocket_arg_room}x"; }
location = /shown { return 200 "<$websocket_arg_room>"; }
location = /nameless { return 200 "<$websocket_arg_>"; }
location = /capital { return 200 "<$websocket_arg_Room>"; }
location = /underscore { return 200 "<$websocket_arg_my_room>"; }
location /own/ { websocket room; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def get(server, target):
    return server.request(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())


# An empty key

@pytest.mark.parametrize("target", [
    "/argument", "/argument?room=", "/argument?other=x", "/raw", "/path/",
    "/argument?room=%ff", "/argument?room=a%00b",
])
def test_handshake_with_an_empty_key_gets_400(server, target):
    assert server.request(wire.upgrade_request(target)).status == 400
    line = server.wait_for_log("handshake refused")
    assert "websocket: handshake refused with 400: the key is empty" in line


def test_key_with_a_fixed_part_is_not_empty(server):
    server.connect("/fixed").expect_alive()


def test_omitted_key_is_the_location(server):
    assert join(server, "/own/x").welcome["room"] == "/own/"


# $websocket_arg_NAME

@pytest.mark.parametrize("target, shown", [
    ("/shown", ""), ("/shown?", ""), ("/shown?room", ""),
    ("/shown?room=", ""), ("/shown?room=lobby", "lobby"),
    ("/shown?a=b&room=lobby&c=d", "lobby"), ("/shown?room=a&room=b", "a"),
    ("/shown?ROOM=lobby", "lobby"), ("/shown?lobbyroom=x", ""),
    ("/shown?room=a%20b", "a b"), ("/shown?room=a+b", "a b"),
    ("/shown?room=a%2Bb", "a+b"), ("/shown?room=a%2bb", "a+b"),
    ("/shown?room=a%26b%3Dc", "a&b=c"), ("/shown?room=%25", "%"),
    ("/shown?room=%d0%b6", "ж"), ("/shown?room=ж", "ж"),
    ("/shown?room=100%", "100%"), ("/shown?room=%zz", "%zz"),
    ("/shown?room=%4", "%4"), ("/shown?room=%2541", "%41"),
    ("/shown?room=a%0Ab", "a\nb"),
    # Not UTF-8
    ("/shown?room=%ff", ""), ("/shown?room=a%d0", ""),
    ("/shown?room=%c0%8a", ""), ("/shown?room=%ed%a0%80", ""),
    ("/shown?room=a%00", ""),
    ("/nameless?=x", ""), ("/capital?room=x", "x"),
    ("/underscore?my_room=x", "x"),
])
def test_argument_is_decoded(server, target, shown):
    response = get(server, target)
    assert response.status == 200
    assert response.body.decode() == f"<{shown}>"


@pytest.mark.parametrize("quote", [urllib.parse.quote,
                                   urllib.parse.quote_plus])
@pytest.mark.parametrize("name", [
    "lobby", "a b", "a+b", "ж 日本", "100%", "a&b=c#d", '"quoted"',
    "line\nfeed",
])
def test_path_and_argument_are_one_room(server, name, quote):
    path = join(server, "/path/" + urllib.parse.quote(name, safe=""))
    argument = join(server, "/argument?room=" + quote(name, safe=""))
    assert path.welcome["room"] == argument.welcome["room"] == name
    assert argument.welcome["clients"] == 2
    response = server.request(post("x", "/publish?room="
                                   + quote(name, safe="")))
    assert response.status == 200
    assert b'"clients":2' in response.body


def test_access_log_of_a_released_request_has_the_argument(nginx):
    server = nginx(
        "location /a { websocket room $websocket_arg_room; }",
        http="""websocket_request release;
                log_format arg '<$websocket_arg_room>';
                access_log %%PREFIX%%/arg.log arg;
                access_log %%PREFIX%%/access.log harness;""")
    server.connect("/a?room=a%20b").disconnect()
    server.wait_for_access_log(status=101)
    assert "<a b>" in server.read("arg.log")
