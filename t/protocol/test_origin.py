"""Allowed origins, and the subprotocol in the response."""

import pytest

import wire

LOCATIONS = """
location /default { websocket echo; }
location /same { websocket echo; websocket_origins same; }
location /any { websocket echo; websocket_origins any; }
location /listed {
    websocket echo;
    websocket_origins https://a.example http://b.example:8080 *.c.example;
}
location /programs {
    websocket echo;
    websocket_origins capacitor://localhost chrome-extension://abcdefgh;
}
location /null { websocket echo; websocket_origins null; }
location /secure { websocket echo; websocket_origins https://*.c.example; }
location /plain { websocket echo; }
location /chat {
    websocket echo;
    websocket_subprotocols chat superchat v1.json;
}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def refuse(server, path, **fields):
    response = server.request(wire.upgrade_request(path, **fields))
    assert response.status == 403, repr(response)
    assert response.header("Sec-WebSocket-Accept") is None
    server.wait_for_log(r"\[info\] .*websocket: .*(?i:origin)")


@pytest.mark.parametrize("path", ["/default", "/same", "/any", "/listed"])
def test_absent_origin_passes(server, path):
    server.connect(path).expect_alive()


@pytest.mark.parametrize("path", ["/default", "/same"])
@pytest.mark.parametrize("host, origin", [
    ("localhost", "http://localhost"),
    ("localhost", "https://localhost"),
    ("localhost", "HTTP://LocalHost"),
    ("LOCALHOST", "http://localhost"),
    ("localhost:80", "http://localhost"),
    ("localhost:8080", "http://localhost:8080"),
    ("127.0.0.1:8080", "http://127.0.0.1:8080"),
    ("[::1]:8080", "http://[::1]:8080"),
])
def test_same_origin_passes(server, path, host, origin):
    server.connect(path, host=host, origin=origin).expect_alive()


@pytest.mark.parametrize("path", ["/default", "/same"])
@pytest.mark.parametrize("host, origin", [
    ("localhost", "http://evil.example"),
    ("localhost", "http://localhost.evil.example"),
    ("localhost", "http://evil-localhost"),
    ("localhost", "http://local"),
    ("localhost", "http://localhost:81"),
    ("localhost:8080", "http://localhost"),
    ("localhost:8080", "http://localhost:80801"),
    ("localhost", "http://localhost/"),
    ("localhost", "http://evil@localhost"),
    ("localhost", "ftp://localhost"),
    ("localhost", "localhost"),
    ("localhost", "null"),
    ("localhost", ""),
    ("localhost", "file://"),
])
def test_other_origin_gets_403(server, path, host, origin):
    refuse(server, path, host=host, origin=origin)


@pytest.mark.parametrize("origin", [
    "http://evil.example", "https://localhost:1", "null", "file://",
])
def test_any_origin_passes(server, origin):
    server.connect("/any", origin=origin).expect_alive()


@pytest.mark.parametrize("origin", [
    "https://a.example", "https://A.EXAMPLE:443", "http://b.example:8080",
    "https://x.c.example", "http://y.x.c.example",
])
def test_listed_origin_passes(server, origin):
    server.connect("/listed", origin=origin).expect_alive()


@pytest.mark.parametrize("origin", [
    "http://a.example", "https://a.example:444", "http://b.example",
    "https://b.example:8080", "https://c.example", "https://xc.example",
    "https://x.c.example.evil", "https://a.example.evil", "null",
    "http://localhost", "https://a.example, https://x.c.example",
    "https://a.example https://evil.example",
])
def test_unlisted_origin_gets_403(server, origin):
    refuse(server, "/listed", origin=origin)


@pytest.mark.parametrize("path, origin", [
    ("/programs", "capacitor://localhost"),
    ("/programs", "chrome-extension://abcdefgh"),
    ("/null", "null"),
    ("/secure", "https://x.c.example"), ("/secure", "https://y.x.c.example"),
])
def test_origin_of_a_program_or_of_a_scheme_passes(server, path, origin):
    server.connect(path, origin=origin).expect_alive()


@pytest.mark.parametrize("path, origin", [
    ("/programs", "http://localhost"), ("/programs", "https://localhost"),
    ("/programs", "capacitor://localhost:80"), ("/programs", "null"),
    ("/programs", "chrome-extension://abcdefghi"),
    ("/programs", "ionic://localhost"),
    ("/null", "http://localhost"), ("/null", "http://null"), ("/null", ""),
    ("/null", "NULL"),
    ("/secure", "http://x.c.example"), ("/secure", "https://c.example"),
    ("/secure", "https://x.c.example:8443"),
    ("/default", "capacitor://localhost"),
])
def test_origin_beside_a_program_or_a_scheme_gets_403(server, path, origin):
    refuse(server, path, origin=origin)


@pytest.mark.parametrize("host, origin, shown", [
    ("a.example:8080", "https://evil.example",
     'origin "https://evil.example" is not allowed on host "a.example:8080"'),
    ("a.example", "null", 'origin "null" is not allowed on host "a.example"'),
    ("a.example", 'x" is allowed\x1b[2J',
     r'origin "x\" is allowed\x1B[2J" is not allowed on host "a.example"'),
    ("a.example", "https://" + "e" * 1000, "ee...\" is not allowed on host"),
])
def test_refusal_names_the_origin_and_the_host(server, host, origin, shown):
    refuse(server, "/default", host=host, origin=origin)
    line = server.wait_for_log("handshake refused with 403")
    assert shown in line
    assert "websocket_origins" in line.split(", client:")[0]


@pytest.mark.parametrize("path", ["/default", "/listed"])
def test_repeated_origin_is_refused(server, path):
    response = server.request(wire.upgrade_request(
        path, host="a.example",
        origin=["https://a.example", "https://evil.example"]))
    assert response.status in (400, 403)
    server.wait_for_log(r"\[info\] .*websocket: .*(?i:origin)")


# Subprotocols

@pytest.mark.parametrize("offered, chosen", [
    ("chat", "chat"),
    ("superchat, chat", "chat"),
    ("superchat,chat", "chat"),
    (["superchat", "chat"], "chat"),
    (["other", "v1.json , superchat"], "superchat"),
    ("v1.json", "v1.json"),
    ("mqtt, superchat", "superchat"),
], ids=str)
def test_first_of_our_names_that_was_offered_is_answered(
        server, offered, chosen):
    client = server.connect("/chat", protocol=offered)
    assert client.response.all("Sec-WebSocket-Protocol") == [chosen]
    client.expect_alive()


@pytest.mark.parametrize("offered", [
    None, "mqtt", "Chat", "chats", "mqtt, v1", ["a", "b"],
], ids=str)
def test_offer_without_our_names_is_answered_with_none(server, offered):
    client = server.connect("/chat", protocol=offered)
    assert client.response.header("Sec-WebSocket-Protocol") is None
    client.expect_alive()


def test_offer_where_no_name_is_set_is_answered_with_none(server):
    client = server.connect("/plain", protocol="chat, superchat")
    assert client.response.header("Sec-WebSocket-Protocol") is None


@pytest.mark.parametrize("offered", [
    "", ",", "chat, chat", ["chat", "chat"], "a b", "chat;q=1", "ch\xe4t",
], ids=["empty", "no-name", "repeated", "repeated-over-headers", "blank",
        "parameter", "non-ascii"])
def test_malformed_offer_gets_400(server, offered):
    response = server.request(wire.upgrade_request("/chat", protocol=offered))
    assert response.status == 400
    server.wait_for_log(r"\[info\] .*websocket: .*Protocol")
