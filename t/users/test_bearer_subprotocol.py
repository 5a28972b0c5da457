"""websocket_jwt subprotocol: the token is offered as "bearer.TOKEN", and is in
no log, no response and no handler."""

import pytest

import plugin_builder
import wire
from http_backend import HttpBackend, upstream
from http2_client import Http2Client
from plugin_library import loading

LOCATIONS = r"""
location = /a { websocket_jwt subprotocol KEY; websocket user_echo;
                websocket_subprotocols chat v2.chat; }
location = /optional { websocket_jwt subprotocol KEY optional;
                       websocket echo; websocket_subprotocols chat; }
location = /room { websocket_jwt subprotocol KEY; websocket room; }
location = /app { websocket_jwt subprotocol KEY; websocket http x pass=@app; }
location @app { proxy_pass http://backend; }
location = /denied { deny all; websocket_jwt subprotocol KEY; websocket echo; }
location = /origin { websocket_jwt subprotocol KEY; websocket echo; }
location = /mapped { if ($by_offer = no) { return 410; }
                     websocket_jwt subprotocol KEY; websocket echo; }
location = /plain { return 200 plain; }
location = /moved { websocket_jwt subprotocol KEY audience=nobody;
                    websocket echo; error_page 401 = @second; }
location @second { websocket_jwt subprotocol KEY; websocket user_echo; }
"""
HTTP = r"""
log_format offers '"$status" "$http_sec_websocket_protocol" "$by_offer" end';
access_log %%PREFIX%%/offers.log offers;
map $http_sec_websocket_protocol $by_offer { default yes; "" no; }
"""


@pytest.fixture(scope="module")
def backend():
    started = HttpBackend()
    yield started
    started.close()


@pytest.fixture(scope="module")
def server(module_nginx, issuer, backend):
    path = plugin_builder.build_file("user_echo.cpp")
    http = HTTP + upstream(backend.port) + loading(path)["http"]
    locations = LOCATIONS.replace("KEY", issuer.key_file())
    return module_nginx(locations, http=http, ports=1, servers="server { "
                        f"listen 127.0.0.1:%%PORT1%% http2; {locations} }}")


def bearer(issuer, **claims):
    return "bearer." + issuer.token(**claims)


def offers_logged(server):
    with open(f"{server.prefix}/offers.log", encoding="latin-1") as file:
        return file.read()


def status_of(server, path, protocol, **fields):
    client = server.open()
    client.send(wire.upgrade_request(path, protocol=protocol, **fields))
    status = client.read_response().status
    client.disconnect()  # else nginx may wait for it before it writes the log
    return status


@pytest.mark.parametrize("offer, chosen", [
    (["BEARER"], None), (["chat", "BEARER"], "chat"),
    (["BEARER", "v2.chat"], "v2.chat"),
    (["other", "BEARER", "v2.chat", "chat"], "chat"),
])
def test_token_is_no_subprotocol(server, issuer, offer, chosen):
    token = bearer(issuer, sub="42")
    client = server.connect("/a", subprotocols=[
        token if name == "BEARER" else name for name in offer])
    assert client.response.header("Sec-WebSocket-Protocol") == chosen
    client.expect_text("42|42")
    client.disconnect()
    entry = server.wait_for_access_log(status="101")
    assert entry["websocket_user"] == "42"
    assert entry["websocket_subprotocol"] == (chosen or "")


def test_offer_in_several_fields(server, issuer):
    token = bearer(issuer, sub="42")
    client = server.connect("/a", protocol=["x", token, "y , chat"])
    assert client.response.header("Sec-WebSocket-Protocol") == "chat"
    client.disconnect()


def test_many_other_names_stay(server, issuer):
    names = [f"n{i}" for i in range(60)]
    client = server.connect("/room", protocol=",".join(
        names + ["room.v1.json", bearer(issuer)]))
    assert client.response.header(
        "Sec-WebSocket-Protocol") == "room.v1.json"
    client.disconnect()


def test_log_has_the_other_names_only(server, issuer):
    client = server.connect("/a", subprotocols=["x", bearer(issuer), "chat"])
    client.disconnect()
    server.wait_for_access_log(status="101")
    assert '"101" "x,chat" ' in offers_logged(server)


@pytest.mark.parametrize("offer", [
    "chat, bearer.", "bearer.x.y.z, chat", "chat, bearer.none",
])
def test_bad_token_is_refused(server, offer):
    assert status_of(server, "/a", offer) == 401
    assert status_of(server, "/optional", offer) == 401
    server.wait_for_log("the token is not valid: it is not a signed token")


def test_missing_token(server):
    assert status_of(server, "/a", "chat") == 401
    server.connect("/optional", subprotocols=["chat"]).leave()


def test_two_tokens_are_refused(server, issuer):
    offer = f"{bearer(issuer, a=1)}, chat, {bearer(issuer, a=2)}"
    assert status_of(server, "/a", offer) == 401
    server.wait_for_log("the token is not valid: there is more than one")


def test_backend_gets_no_token(server, issuer, backend):
    backend.reset()
    client = server.connect("/app", subprotocols=[bearer(issuer, sub="7")])
    event = backend.next("connect")
    assert "WebSocket-Protocols" not in event.fields
    assert event.fields["WebSocket-User"] == "7"
    token = issuer.issued[-1]
    client.disconnect()
    backend.next("disconnect")
    assert token not in str(event.fields)


def test_backend_gets_the_other_names(server, issuer, backend):
    backend.reset()
    server.connect("/app", subprotocols=[bearer(issuer), "one", "two"]).leave()
    event = backend.next("connect")
    assert event.fields["WebSocket-Protocols"] == "one,two"


def test_token_in_another_case_of_letters(server, issuer):
    token = bearer(issuer, sub="42").replace("bearer", "Bearer")
    server.connect("/a", subprotocols=[token]).disconnect()


@pytest.mark.parametrize("path, status, fields", [
    ("/denied", 403, {}),
    ("/origin", 403, {"origin": "https://evil.example"}),
    ("/a", 426, {"upgrade": None}),
    ("/a", 405, {"method": "POST"}),
    ("/a", 400, {"key": "x"}),
    ("/nowhere", 404, {}),
    ("/plain", 200, {}),
    ("/a", 400, {"host": None}),
    ("/a", 400, {"headers": [("Host", "again")]}),
])
def test_refused_handshakes_do_not_log_the_token(
        server, issuer, path, status, fields):
    server.allow_errors("access forbidden by rule|No such file")
    offer = f"x, {bearer(issuer)}, y"
    assert status_of(server, path, offer, **fields) == status
    server.wait_for_access_log(status=str(status))
    assert f'"{status}" "x,y" ' in offers_logged(server)


def test_variable_that_was_evaluated_before_does_not_show_it(server, issuer):
    client = server.connect("/mapped", protocol=["x", bearer(issuer)])
    client.disconnect()
    server.wait_for_access_log(status="101")
    assert '"101" "x" ' in offers_logged(server)


def test_location_of_error_page_gets_the_token_too(server, issuer):
    client = server.connect("/moved", subprotocols=[bearer(issuer, sub="9")])
    client.expect_text("9|9")
    client.disconnect()


def test_http2_request_does_not_log_the_token(server, issuer):
    headers, _ = Http2Client(server).ask(
        "/a", ("sec-websocket-protocol", "x, " + bearer(issuer)))
    assert b"\x03426" in headers
    server.wait_for_access_log(status="426")
    assert '"426" "x" ' in offers_logged(server)


def test_without_the_directive_offers_are_left_alone(nginx):
    server = nginx("location /a { websocket echo; "
                   "websocket_subprotocols bearer.x; }",
                   http="log_format offers '$http_sec_websocket_protocol';"
                        "access_log %%PREFIX%%/offers.log offers;")
    client = server.connect("/a", subprotocols=["bearer.x"])
    assert client.response.header("Sec-WebSocket-Protocol") == "bearer.x"
    client.disconnect()
    server.wait_for_access_log(status="101")
    assert "bearer.x" in offers_logged(server)
