"""Publishing over HTTP: POST, GET, HEAD and DELETE, and each status."""

from time import monotonic

import pytest

import handler_log
from nginx_server import seconds, wait_until
from publish_client import (BINARY, Publisher, answer_of, expect_refused, post,
                            request)

LOCATIONS = """
location /clients { websocket echo $arg_room; }
location /publish { websocket_publish echo $arg_room; }
location /small {
    websocket_publish echo $arg_room;
    websocket_max_message_size 100;
}
location /tight { websocket_publish echo tight; client_max_body_size 50; }
location /null { websocket_publish probe key resource=null; }
location /page {
    websocket_publish echo "$arg_room";
    websocket_max_message_size 100;
    error_page 400 405 413 =422 /words;
}
location /words { return 422 words; }
"""
UNKNOWN = (0, 0, "0")


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http=handler_log.plugin() +
                        "keepalive_requests 100000;")


def join(server, room="1"):
    return server.connect(f"/clients?room={room}")


def wait_for_no_clients(publisher):
    wait_until(lambda: publisher.get_state()[0] == 0, seconds(5), "no clients")


# POST

def test_text_reaches_the_clients_of_the_resource_alone(server):
    clients = [join(server) for _ in range(3)]
    elsewhere = join(server, "2")
    response = server.request(post("häuser"))
    assert answer_of(response)["clients"] == 3
    for client in clients:
        client.expect_text("häuser")
    elsewhere.expect_alive()


@pytest.mark.parametrize("kind", [
    BINARY, "APPLICATION/Octet-Stream", BINARY + ";charset=utf-8",
    BINARY + "\t ; a=b", BINARY + ";"])
def test_octets_are_a_binary_message(server, kind):
    client, publisher = join(server), Publisher(server)
    publisher.post(b"\xff\x00\xfe", kind=kind)
    client.expect_binary(b"\xff\x00\xfe")


@pytest.mark.parametrize("kind", [
    None, "", "text/plain", "application/json", BINARY + "s", "x" + BINARY,
    "application/x-www-form-urlencoded", "text/plain; " + BINARY])
def test_anything_else_is_text(server, kind):
    client, publisher = join(server), Publisher(server)
    publisher.post("a=b&c", kind=kind)
    client.expect_text("a=b&c")


def test_ids_grow_by_one_with_and_without_clients(server):
    publisher = Publisher(server, "/publish?room=ids")
    epoch, first = publisher.post("nobody", clients=0)
    assert first == 1
    assert publisher.post("still nobody", clients=0) == (epoch, 2)
    client = join(server, "ids")
    assert publisher.post("somebody", clients=1) == (epoch, 3)
    client.expect_text("somebody")
    assert publisher.get_state() == (1, 0, f"{epoch}-3")


def test_ids_of_resources_are_their_own(server):
    first = Publisher(server, "/publish?room=own1").post("x")
    second = Publisher(server, "/publish?room=own2").post("x")
    assert first[1] == second[1] == 1 and first[0] != second[0]


def test_handlers_with_the_same_key_have_different_resources(nginx):
    server = nginx("""
        location /probes { websocket probe key; }
        location /echoes { websocket echo key; }
        location /publish { websocket_publish probe key; }
        """, http=handler_log.plugin())
    other, client = server.connect("/echoes"), server.connect("/probes")
    Publisher(server).post("for probes", clients=1)
    client.expect_text("for probes")
    other.expect_alive()


def test_closing_client_receives_nothing(server):
    client, publisher = join(server, "closing"), Publisher(
        server, "/publish?room=closing")
    client.close(1000)
    client.expect_close(1000)
    publisher.post("late")
    client.expect_eof()


# GET and HEAD

def test_unknown_resource_is_all_zeros_and_stays_unknown(server):
    publisher = Publisher(server, "/publish?room=unknown")
    assert publisher.get_state() == UNKNOWN
    assert publisher.close_clients() == 0
    assert publisher.get_state() == UNKNOWN
    assert publisher.post("x")[1] == 1


def test_clients_are_counted_as_they_connect_and_disconnect(server):
    publisher = Publisher(server, "/publish?room=count")
    clients = []
    for count in range(1, 4):
        clients.append(join(server, "count"))
        assert publisher.get_state()[0] == count
    for client in clients:
        client.leave()
        client.disconnect()
    wait_for_no_clients(publisher)


def test_head_has_the_head_of_get(server):
    got = server.request(request("GET"))
    head = server.request(request("HEAD"))
    assert head.body == b"" and answer_of(got) is not None
    for name in ("Content-Type", "Content-Length", "Cache-Control"):
        assert head.header(name) == got.header(name)
    assert head.status == 200


# DELETE

def test_delete_closes_all_clients_and_no_others(server):
    clients = [join(server) for _ in range(3)]
    elsewhere = join(server, "2")
    publisher = Publisher(server)
    assert publisher.close_clients() == 3
    for client in clients:
        client.expect_failure(1000, "^$")
        client.disconnect()
    elsewhere.expect_alive()
    wait_for_no_clients(publisher)
    entry = server.wait_for_access_log(3, status=101)
    assert entry["websocket_close_by"] == "server"
    assert entry["websocket_close_code"] == "1000"


@pytest.mark.parametrize("arguments, code, reason", [
    ("&code=4001", 4001, ""), ("&code=3000&reason=", 3000, ""),
    ("&reason=bye", 1000, "bye"), ("&reason=a+b%20c%2Bd", 1000, "a b c+d"),
    ("&reason=%E2%82%AC&code=1013", 1013, "€"), ("&reason=€", 1000, "€"),
    ("&code=4999&reason=" + "r" * 123, 4999, "r" * 123),
    ("&reason=" + "%C3%A4" * 61, 1000, "ä" * 61),
    ("&REASON=case&Code=1001", 1001, "case"), ("&code=01000", 1000, ""),
    ("&reason=100%", 1000, "100%"),
])
def test_delete_takes_code_and_reason(server, arguments, code, reason):
    client, publisher = join(server), Publisher(server)
    path = publisher.path + arguments
    publisher.client.send(request("DELETE", "PATH").replace(
        b"PATH", path.encode()))
    assert answer_of(publisher.client.read_response()) == {"clients": 1}
    assert client.expect_close(code).close_reason == reason


@pytest.mark.parametrize("code", [
    0, 1, 999, 1004, 1005, 1006, 1010, 1015, 1016, 2999, 5000, 66536,
    10000000000000000000000, "-1000", "+1000", "1000.", "", "x", "%31000"])
def test_delete_with_wrong_code_is_refused(server, code):
    client = join(server)
    expect_refused(server, request("DELETE", f"/publish?room=1&code={code}"),
                   400, "^close code must be")
    client.expect_alive()


@pytest.mark.parametrize("reason, why", [
    ("r" * 124, "longer than 123"), ("%C3%A4" * 62, "longer than 123"),
    ("%FF", "not UTF-8"), ("a%C3", "not UTF-8"), ("%ED%A0%80", "not UTF-8"),
], ids=["long", "long-utf8", "byte", "end", "surrogate"])
def test_delete_with_wrong_reason_is_refused(server, reason, why):
    client = join(server)
    expect_refused(server,
                   request("DELETE", f"/publish?room=1&reason={reason}"), 400,
                   why)
    client.expect_alive()


def test_delete_follows_what_was_published(server):
    client, publisher = join(server), Publisher(server)
    publisher.client.send([
        post("first"), post(b"\xff", kind=BINARY),
        request("DELETE", "/publish?room=1&code=4000"), post("too late")])
    for _ in range(4):
        assert answer_of(publisher.client.read_response())["clients"] == 1
    client.expect_text("first")
    client.expect_binary(b"\xff")
    client.expect_failure(4000)


def test_resource_serves_on_after_delete(server):
    """No step waits for a timer of the worker."""
    publisher, began = Publisher(server, "/publish?room=again"), monotonic()
    for _ in range(20):
        client = join(server, "again")
        assert publisher.close_clients() == 1
        client.expect_failure(1000)
        client.disconnect()
        wait_for_no_clients(publisher)
    assert monotonic() - began < seconds(5)
    client = join(server, "again")
    assert publisher.post("x", clients=1)[1] == 1
    client.expect_text("x")


# Refusals

@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "PROPFIND",
                                    "FROBNICATE", "delete"])
def test_other_method_is_refused(server, method):
    data = request(method, body="x")
    if method.isupper():
        response = expect_refused(server, data, 405, "^the method")
        assert response.header("Allow") == "GET, HEAD, POST, DELETE"
    else:
        assert server.request(data).status == 400


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_empty_key_is_refused(server, method):
    expect_refused(server, request(method, "/publish?room=", body="x"), 400,
                   "^the key is empty$")
    expect_refused(server, request(method, "/publish", body="x"), 400,
                   "^the key is empty$")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_key_that_is_too_long_is_refused(server, method):
    longest = 4096 - len("echo:")
    path = "/publish?room=" + "k" * longest
    assert server.request(request(method, path, body="x")).status == 200
    expect_refused(server, request(method, path + "k", body="x"), 400,
                   "^the key is too long$")


def test_empty_key_is_refused_before_the_body_is_there(server):
    data = post("x" * 1000, "/publish?room=")[:-1000]
    expect_refused(server, data, 400, "the key is empty")


@pytest.mark.parametrize("body", [
    b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"x" * 5000 + b"\xe2",
], ids=["byte", "end", "surrogate", "overlong", "long"])
def test_text_that_is_not_utf8_is_refused(server, body):
    client = join(server)
    expect_refused(server, post(body), 400, "^the text is not UTF-8$")
    client.expect_alive()


def test_refused_message_takes_no_id(server):
    path = "/publish?room=refused"
    epoch, first = Publisher(server, path).post("x")
    assert server.request(post(b"\xff", path)).status == 400
    assert Publisher(server, path).post("x") == (epoch, first + 1)


def test_message_of_the_largest_size(server):
    client = join(server)
    publisher = Publisher(server, "/small?room=1")
    publisher.post(b"x" * 100)
    client.expect_text("x" * 100)
    publisher.post(None, chunks=[b"y" * 60, b"y" * 40])
    client.expect_text("y" * 100)


def test_larger_message_is_refused_before_it_is_there(server):
    expect_refused(server, post(b"x" * 101, "/small?room=1")[:-101], 413,
                   "larger than websocket_max_message_size")


def test_larger_message_in_chunks_is_refused(server):
    client = join(server)
    data = request("POST", "/small?room=1", chunks=[b"x" * 60, b"x" * 41])
    expect_refused(server, data, 413, "larger than websocket_max_message_size")
    client.expect_alive()


def test_client_max_body_size_applies_first(server):
    server.allow_errors("client intended to send too large")
    assert server.request(post(b"x" * 51, "/tight")).status == 413
    data = request("POST", "/tight", chunks=[b"x" * 51])
    assert server.request(data).status == 413
    assert "publish request" not in server.log()


def test_resource_that_cannot_be_created(server):
    expect_refused(server, post("x", "/null"), 500,
                   "failed to create the resource")


@pytest.mark.parametrize("data", [
    post("x", "/page"), post(b"\xff", "/page?room=1"),
    post("x" * 101, "/page?room=1"), request("PUT", "/page?room=1"),
    request("POST", "/page?room=1", chunks=[b"x" * 101]),
], ids=["key", "utf8", "size", "method", "chunks"])
def test_refusals_may_have_their_own_page(server, data):
    response = server.request(data)
    assert (response.status, response.body) == (422, b"words")
