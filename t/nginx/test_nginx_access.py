"""nginx's own access and limit directives in a WebSocket location."""

import base64
import os
import re

import pytest

import wire

HTTP = """
limit_conn_zone $binary_remote_addr zone=address:1m;
limit_conn_zone $arg_room zone=room:1m;
limit_conn_log_level info;
limit_req_zone $arg_client zone=rate:1m rate=10r/s;
limit_req_zone $arg_client zone=slow:1m rate=1r/m;
limit_req_log_level info;
"""

LOCATIONS = r"""
location /allowed { allow 127.0.0.1; deny all; websocket echo; }
location /denied { deny all; websocket echo; }
location /password {
    auth_basic "the realm"; auth_basic_user_file %%PREFIX%%/users;
    websocket echo $remote_user;
}
location /either {
    satisfy any; deny all;
    auth_basic "the realm"; auth_basic_user_file %%PREFIX%%/users;
    websocket echo;
}
location /asked {
    auth_request /auth;
    auth_request_set $name $upstream_http_x_name;
    websocket echo rooms/$name;
}
location = /auth {
    internal;
    proxy_pass http://127.0.0.1:%%PORT%%/verdict/$http_x_as;
}
location /verdict/yes { add_header X-Name somebody; return 204; }
location /verdict/no { return 403; }
location /verdict/unknown { add_header WWW-Authenticate Basic; return 401; }
location /two { limit_conn address 2; websocket echo; }
location /one-a-room {
    limit_conn room 1; limit_conn_status 429; websocket echo $arg_room;
}
location /delayed { limit_req zone=rate burst=9; websocket echo; }
location /rated { limit_req zone=slow; limit_req_status 429; websocket echo; }
location /real {
    set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
    deny 203.0.113.66;
    websocket echo;
}
location /forged {
    set_real_ip_from 192.0.2.1; real_ip_header X-Forwarded-For;
    websocket echo;
}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    server = module_nginx(
        LOCATIONS, http=HTTP, ports=1, servers="""
        server {
            listen 127.0.0.1:%%PORT1%% proxy_protocol;
            set_real_ip_from 127.0.0.1;
            real_ip_header proxy_protocol;
            location / { websocket echo; }
        }""")
    with open(os.path.join(server.prefix, "users"), "w",
              encoding="ascii") as file:
        file.write("anna:{PLAIN}secret\n")
    return server


def refuse(server, path, status, **fields):
    """nginx refuses a handshake with this status, and no session starts."""
    client = server.open()
    client.send(wire.upgrade_request(path, **fields) + wire.text("no"))
    response = client.read_response()
    client.disconnect()
    assert response.status == status, repr(response)
    assert response.header("Sec-WebSocket-Accept") is None
    assert server.wait_for_access_log(status=status)["websocket_client"] == ""
    return response


def leave(client):
    """Ends a session and its connection."""
    client.leave()
    client.disconnect()


def password(text):
    encoded = base64.b64encode(text.encode()).decode()
    return {"headers": [("Authorization", f"Basic {encoded}")]}


# Access

def test_allowed_address_is_upgraded(server):
    server.connect("/allowed").expect_alive()


def test_denied_address_gets_403(server):
    server.allow_errors("access forbidden by rule")
    refuse(server, "/denied", 403)


@pytest.mark.parametrize("path", ["/password", "/either"])
def test_right_password_is_upgraded(server, path):
    server.connect(path, **password("anna:secret")).expect_alive()


@pytest.mark.parametrize("path", ["/password", "/either"])
@pytest.mark.parametrize("fields", [{}, password("anna:wrong")],
                         ids=["none", "wrong"])
def test_wrong_password_gets_401(server, path, fields):
    server.allow_errors("password mismatch|access forbidden by rule")
    response = refuse(server, path, 401, **fields)
    assert "the realm" in response.header("WWW-Authenticate")


def test_user_of_the_password_may_be_the_key(server):
    leave(server.connect("/password", **password("anna:secret")))
    entry = server.wait_for_access_log(status=101)
    assert entry["websocket_resource"] == "anna"


def test_authorized_request_is_upgraded(server):
    client = server.connect("/asked", headers=[("X-As", "yes")],
                            pipelined=wire.text("at once"))
    client.expect_text("at once")
    leave(client)
    entry = server.wait_for_access_log(uri="/asked")
    assert entry["websocket_resource"] == "rooms/somebody"


@pytest.mark.parametrize("verdict, status", [("no", 403), ("unknown", 401)])
def test_unauthorized_request_is_refused(server, verdict, status):
    server.allow_errors("access forbidden")
    refuse(server, "/asked", status, headers=[("X-As", verdict)])


# Numbers of connections and requests

def test_connections_count_for_the_whole_session(server):
    first, second = server.connect("/two"), server.connect("/two")
    refuse(server, "/two", 503)
    first.expect_alive()
    leave(first)
    server.wait_for_access_log(status=101)
    third = server.connect("/two")
    refuse(server, "/two", 503)
    for client in (second, third):
        leave(client)
    server.wait_for_access_log(3, status=101)
    assert server.connect("/two").response.status == 101


@pytest.mark.parametrize("end", ["disconnect", "abort", "fault"])
def test_connection_limit_is_freed_by_every_end(server, end):
    path = f"/one-a-room?room={end}"
    client = server.connect(path)
    refuse(server, path, 429)
    if end == "fault":
        client.send(wire.frame(3))
        client.expect_failure(1002)
        client.disconnect()
    else:
        getattr(client, end)()
    server.wait_for_access_log(status=101)
    leave(server.connect(path))


def test_refused_handshake_does_not_stay_counted(server):
    path = "/one-a-room?room=refused"
    for _ in range(3):
        refuse(server, path, 400, key="short")
    leave(server.connect(path))


def test_delayed_request_is_upgraded_late(server):
    clients = []
    for _ in range(3):
        clients.append(server.open())
        clients[-1].send(wire.upgrade_request("/delayed?client=a")
                         + wire.text("at once"))
    for client in clients:
        assert client.read_response().status == 101
        client.expect_text("at once")
        leave(client)
    server.wait_for_access_log(3, status=101)
    assert "delaying request" in server.log()


def test_end_while_the_request_is_delayed_starts_no_session(server):
    for _ in range(3):
        server.open().send(wire.upgrade_request("/delayed?client=b"))
    server.wait_for_log("delaying request")
    for client in server.clients:
        client.abort()
    server.wait_for_access_log(3)


def test_request_above_the_rate_is_refused(server):
    leave(server.connect("/rated?client=c"))
    refuse(server, "/rated?client=c", 429)


# Client addresses

@pytest.mark.parametrize("path, address", [
    ("/real", "203.0.113.7"), ("/forged", "127.0.0.1")])
def test_forwarded_address_is_that_of_the_session(server, path, address):
    client = server.connect(path, headers=[("X-Forwarded-For", "203.0.113.7")])
    client.send(wire.frame(3))
    client.expect_failure(1002)
    client.disconnect()
    assert server.wait_for_access_log(status=101)["remote_addr"] == address
    server.wait_for_log(f"websocket: closed .*client: {address}")


def test_forwarded_address_can_be_denied(server):
    server.allow_errors("access forbidden by rule")
    refuse(server, "/real", 403, headers=[("X-Forwarded-For", "203.0.113.66")])


def test_address_of_the_proxy_protocol_is_that_of_the_session(server):
    client = server.open(port=server.ports[0])
    client.send(b"PROXY TCP4 198.51.100.9 127.0.0.1 4000 80\r\n"
                + wire.upgrade_request("/") + wire.text("x"))
    assert client.read_response().status == 101
    client.expect_text("x")
    leave(client)
    entry = server.wait_for_access_log(status=101)
    assert entry["remote_addr"] == "198.51.100.9"
    assert re.search("closed .*client: 198.51.100.9", server.log())
