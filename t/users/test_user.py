"""websocket_user: who the client is, for handlers, variables and logs."""

import base64

import pytest

import plugin_builder
import wire
from plugin_library import loading

LOCATIONS = r"""
location = /fixed { websocket_user "Ann Smith"; websocket user_echo; }
location = /field { websocket_user $http_x_user; websocket user_echo; }
location = /nobody { websocket user_echo; }
location = /key { websocket_user $arg_user;
                  websocket user_echo of-$websocket_user; }
location = /basic {
    auth_basic "users";
    auth_basic_user_file %%PREFIX%%/users;
    websocket_user $remote_user;
    websocket user_echo;
}
location = /asked {
    auth_request /who;
    auth_request_set $who $upstream_http_x_user;
    websocket_user $who;
    websocket user_echo;
}
location = /who { internal; proxy_pass http://127.0.0.1:%%PORT%%/answer; }
location = /answer { add_header X-User "user of ask"; return 204; }
location = /early {
    if ($websocket_user) { return 410; }
    websocket_user early; websocket user_echo;
}
location = /itself { websocket_user $websocket_user; websocket user_echo; }
location = /moved { websocket_user $arg_first; websocket user_echo;
                    websocket_origins https://nowhere.example;
                    error_page 403 = @other; }
location @other { websocket_user other; websocket user_echo;
                  websocket_origins any; }
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    path = plugin_builder.build_file("user_echo.cpp")
    server = module_nginx(LOCATIONS, **loading(path))
    with open(f"{server.prefix}/users", "w", encoding="ascii") as file:
        file.write("carol:{PLAIN}secret\n")
    return server


def known_as(server, user, path, **fields):
    """A client after the handshake, whose handler knows it as this user."""
    client = server.connect(path, **fields)
    client.expect_text(f"{user}|{user}")
    client.text("?")
    client.expect_text(user)
    return client


def logged_user(server, client):
    client.leave()
    return server.wait_for_access_log(status="101")["websocket_user"]


def basic(user, password):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"headers": [("Authorization", f"Basic {text}")]}


def refusal(server, path, **fields):
    return server.request(wire.upgrade_request(path, **fields)).status


def bytes_as_field(text):
    return {"headers": [("X-User", text.encode().decode("latin-1"))]}


def test_user_reaches_the_handler_and_both_logs(server):
    client = known_as(server, "Ann Smith", "/fixed")
    server.wait_for_log('"/fixed": connecting <Ann Smith>')
    assert logged_user(server, client) == "Ann Smith"
    server.wait_for_log('"/fixed": gone <Ann Smith>')
    line = server.wait_for_log("closed by client")
    assert ', user "Ann Smith"' in line


def test_without_the_directive_there_is_no_user(server):
    client = known_as(server, "", "/nobody")
    assert logged_user(server, client) == ""
    assert ", user " not in server.wait_for_log("closed by client")


def test_empty_value_is_nobody(server):
    assert logged_user(server, known_as(server, "", "/field")) == ""


def test_user_of_auth_basic(server):
    assert refusal(server, "/basic") == 401
    assert refusal(server, "/basic", **basic("carol", "wrong")) == 401
    server.allow_errors("user .carol.: password mismatch")
    client = known_as(server, "carol", "/basic", **basic("carol", "secret"))
    assert logged_user(server, client) == "carol"


def test_user_of_auth_request_set(server):
    client = known_as(server, "user of ask", "/asked")
    assert logged_user(server, client) == "user of ask"


def test_user_is_unknown_before_the_access_phase(server):
    known_as(server, "early", "/early").leave()


def test_value_that_names_itself_is_nobody(server):
    known_as(server, "", "/itself").leave()


def test_key_may_contain_the_user(server):
    known_as(server, "dave", "/key?user=dave").leave()
    server.wait_for_log('"of-dave": gone')
    entry = server.wait_for_access_log(status="101")
    assert entry["websocket_resource"] == "of-dave"


def test_location_of_error_page_has_its_own_user(server):
    known_as(server, "other", "/moved?first=one",
             origin="https://page.example").leave()


@pytest.mark.parametrize("user", ["x" * 256, "\u00e9" * 128, "\U0001F600"])
def test_longest_and_other_letters(server, user):
    client = known_as(server, user, "/field", **bytes_as_field(user))
    assert logged_user(server, client) == user


@pytest.mark.parametrize("user, reason", [
    ("x" * 257, "longer than 256 bytes"),
    ("\u00e9" * 129, "longer than 256 bytes"),
    ("a\x7fb", "a control character"),
    ("a\tb", "a control character"),
])
def test_bad_user_is_refused(server, user, reason):
    assert refusal(server, "/field", **bytes_as_field(user)) == 400
    server.wait_for_log(f"handshake refused with 400: the user .*{reason}")


def test_user_that_is_not_utf8_is_refused(server):
    assert refusal(server, "/field", headers=[("X-User", "a\xff")]) == 400
    server.wait_for_log("refused with 400: the user is not valid UTF-8")


def test_directive_is_inherited_and_may_be_emptied(nginx):
    path = plugin_builder.build_file("user_echo.cpp")
    server = nginx('location /a { websocket user_echo; }'
                   'location /b { websocket_user ""; websocket user_echo; }',
                   server="websocket_user all;", **loading(path))
    known_as(server, "all", "/a").leave()
    known_as(server, "", "/b").leave()


def test_duplicate_is_an_error(nginx):
    passed, output = nginx.check(
        "location /a { websocket echo; websocket_user a; websocket_user b; }")
    assert not passed and '"websocket_user" directive is duplicate' in output
