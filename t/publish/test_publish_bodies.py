"""Request bodies of websocket_publish: in each of nginx's buffers, in pieces or
chunks, and incomplete."""

import os

import pytest

from input_splits import whole_and_bytewise
from nginx_server import seconds, wait_until
from publish_client import (BINARY, Publisher, answer_of, expect_refused, post,
                            refusals, request)
from worker_probe import assert_no_growth, descriptors, memory, only_worker

SETTINGS = {
    "memory": "client_body_buffer_size 2m;",
    "default": "",
    "spilled": "client_body_buffer_size 1k;",
    "file": "client_body_in_file_only clean;",
    "single": "client_body_in_single_buffer on;",
    "single-spilled": "client_body_buffer_size 1k; "
                      "client_body_in_single_buffer on;",
}
PATHS = list(SETTINGS)
SIZES = [0, 1, 125, 1023, 1024, 1025, 16384, 16385, 100000, 1048576]

# Other locations that read the body first, or that forwarded it meanwhile
ELSEWHERE = """
location @publish { websocket_publish echo $arg_room; }
location = /sent-on {
    proxy_pass http://127.0.0.1:%%PORT1%%; proxy_http_version 1.1;
    proxy_request_buffering off; proxy_intercept_errors on;
    error_page 503 = @publish;
}
location = /mirror {
    internal; websocket_publish echo $arg_room;
}
location = /mirrored {
    mirror /mirror;
    proxy_pass http://127.0.0.1:%%PORT1%%/200;
}
location = /buffered {
    proxy_pass http://127.0.0.1:%%PORT1%%; proxy_intercept_errors on;
    error_page 503 = @publish;
}
"""
BACKEND = """server {
    listen 127.0.0.1:%%PORT1%%;
    location = /200 { return 200; }
    location / { client_max_body_size 0; return 503; }
}"""
LOCATIONS = (
    ELSEWHERE + "location /clients { websocket echo $arg_room; }" + "".join(
        f"location /{name} {{ websocket_publish echo $arg_room; {setting} }}\n"
        for name, setting in SETTINGS.items()))


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http="client_max_body_size 4m;"
                        "keepalive_requests 100000;", ports=1,
                        servers=BACKEND)


def join(server, room="1"):
    return server.connect(f"/clients?room={room}")


def pattern(size):
    """Bytes in which each offset can be recognized."""
    block = b"".join(b"%06x," % number for number in range(0, size, 7))
    return block[:size]


def wait_for_no_files(server):
    """Waits until nginx has removed its temporary files, which may be later
    than the response."""
    folder = os.path.join(server.prefix, "client_body")
    wait_until(lambda: not any(files for _, _, files in os.walk(folder)),
               seconds(5), "no files")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PATHS)
def test_body_is_the_message(server, path, size):
    client, publisher = join(server), Publisher(server, f"/{path}?room=1")
    publisher.post(pattern(size))
    client.expect_text(pattern(size))
    publisher.post(pattern(size), kind=BINARY)
    client.expect_binary(pattern(size))
    wait_for_no_files(server)


@whole_and_bytewise
@pytest.mark.parametrize("path", PATHS)
def test_request_in_pieces(server, path, cut):
    client = join(server)
    data = post("häuser und wörter", f"/{path}?room=1")
    assert answer_of(server.request(data, cut))["clients"] == 1
    client.expect_text("häuser und wörter")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("chunks", [
    [b"one"], [b"one", b"two", b"three"], [], [b"x"] * 300,
    [b"a" * 3000, b"b" * 3000], [pattern(200000)], [b"\xc3", b"\xa4"],
], ids=["one", "three", "none", "small", "large", "spilled", "character"])
def test_chunked_body(server, path, chunks):
    client, publisher = join(server), Publisher(server, f"/{path}?room=1")
    publisher.post(None, chunks=chunks)
    client.expect_text(b"".join(chunks))


@whole_and_bytewise
@pytest.mark.parametrize("path", PATHS)
def test_chunked_request_in_pieces(server, path, cut):
    client = join(server)
    data = request("POST", f"/{path}?room=1",
                   chunks=["ä".encode()[:1], "ä".encode()[1:], b"bc"])
    answer_of(server.request(data, cut))
    client.expect_text("äbc")


# A character of four bytes at each position of a border: between bytes that
# arrive with the header and later ones, and at the end of nginx's buffer

@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("before", [1, 2, 3])
def test_character_across_two_buffers(server, path, before):
    client = join(server)
    for size in (1024, 5000, 16384, 65536):
        body = b"x" * (size - before) + "\U0001F600".encode() + b"y" * 20000
        data = post(body, f"/{path}?room=1")
        head = len(data) - len(body)
        answer_of(server.request(data, cut=[head + size, head + size + 100]))
        client.expect_text(body)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("end, start", [
    (b"\xc3", b"x"), (b"\xf0\x9f", b"\x98x"), (b"\xe2\x82", b"\xe2\x82\xac"),
    (b"\xed", b"\xa0\x80"), (b"x", b"\x80"),
], ids=["cut", "short", "restarted", "surrogate", "stray"])
def test_invalid_character_across_two_buffers(server, path, end, start):
    client = join(server)
    for size in (1024, 16384):
        body = b"x" * (size - len(end)) + end + start + b"y" * 20000
        data = post(body, f"/{path}?room=1")
        head = len(data) - len(body)
        before = len(refusals(server))
        expect_refused(server, data, 400, "not UTF-8", cut=[head + size])
        assert len(refusals(server)) == before + 1
    client.expect_alive()


def test_body_that_waits_for_100_continue(server):
    client, poster = join(server), server.open()
    data = request("POST", "/default?room=1", "waited",
                   headers=[("Expect", "100-continue")])
    poster.send(data[:-6])
    assert poster.read_response().status == 100
    poster.send(data[-6:])
    answer_of(poster.read_response())
    client.expect_text("waited")


def test_too_large_body_is_not_waited_for(server):
    poster = server.open()
    data = request("POST", "/default?room=1", b"x" * 1048577,
                   headers=[("Expect", "100-continue")])
    poster.send(data[:-1048577])
    assert poster.read_response().status == 413


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sent", [0, 10, 5000])
@pytest.mark.parametrize("end", ["abort", "half_close"])
def test_unfinished_body_is_not_published(server, path, sent, end):
    client = join(server)
    poster = server.open()
    poster.send(post(b"x" * 10000, f"/{path}?room=1")[:sent - 10000])
    poster.wait_until_read()
    getattr(poster, end)()
    server.wait_for_access_log(status="400")
    assert Publisher(server, f"/{path}?room=1").post("whole", clients=1)
    client.expect_text("whole")


@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_is_not_all_there_is_not_published(server, chunked):
    client = join(server)
    body = ({"chunks": [pattern(60000), pattern(60000)]} if chunked
            else {"body": pattern(120000)})
    expect_refused(server, request("POST", "/sent-on?room=1", **body), 400,
                   "^the request body is incomplete")
    client.expect_alive()


@pytest.mark.parametrize("path", ["/buffered", "/mirrored"])
@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_another_location_has_read_is_published(server, path,
                                                          chunked):
    client = join(server)
    body = ({"chunks": [pattern(60000), pattern(60000)]} if chunked
            else {"body": pattern(120000)})
    response = server.request(request("POST", f"{path}?room=1", **body))
    assert response.status == 200
    whole = pattern(60000) * 2 if chunked else pattern(120000)
    client.expect_text(whole)


# Content-Encoding

@pytest.mark.parametrize("fields", [
    ["gzip"], ["br"], ["GZIP"], ["identity, gzip"], ["gzip, identity"],
    ["identity", "deflate"], ["unknown"], ["aes128gcm"]], ids=str)
@pytest.mark.parametrize("kind", [None, BINARY])
def test_encoded_body_is_refused(server, fields, kind):
    client = join(server)
    response = expect_refused(server, post(
        b"x", "/default?room=1", kind=kind,
        headers=[("Content-Encoding", field) for field in fields]), 415,
        "^the body has a Content-Encoding$")
    assert response.header("Accept-Encoding") == "identity"
    client.expect_alive()


@pytest.mark.parametrize("fields", [
    ["identity"], ["Identity"], [""], [" , identity,"], ["identity"] * 2],
    ids=str)
def test_body_that_is_not_encoded_is_published(server, fields):
    client = join(server)
    answer_of(server.request(post("x", "/default?room=1", headers=[
        ("Content-Encoding", field) for field in fields])))
    client.expect_text("x")


def test_encoding_is_refused_before_the_body_comes(server):
    poster = server.open()
    data = post(bytes(100000), "/default?room=1",
                headers=[("Content-Encoding", "gzip"),
                         ("Expect", "100-continue")])
    poster.send(data[:-100000])
    assert poster.read_response().status == 415


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_body_of_other_methods_is_passed_over(server, path, method):
    publisher = Publisher(server, f"/{path}?room=1")
    for body in (b"x", pattern(50000)):
        assert publisher.ask(method, body=body).status == 200
    assert publisher.ask(method, chunks=[b"a", b"b"]).status == 200
    publisher.post("x")


def test_http_1_0(server):
    client = join(server)
    answer = answer_of(server.request(post(
        "old", "/default?room=1", version="HTTP/1.0")))
    assert answer["clients"] == 1
    client.expect_text("old")
    poster = server.open()
    poster.send(request("GET", "/default?room=1", version="HTTP/1.0"))
    assert answer_of(poster.read_response())["clients"] == 1
    poster.expect_eof()


def test_post_without_a_body_is_an_empty_message(server):
    client, publisher = join(server), Publisher(server, "/default?room=1")
    publisher.post(None)
    client.expect_text("")
    publisher.post(None, kind=BINARY)
    client.expect_binary(b"")


def test_pipelined_requests_are_published_in_order(server):
    client, poster = join(server), server.open()
    words = [f"message {index}" for index in range(200)]
    poster.send([post(word, "/default?room=1") for word in words])
    ids = [answer_of(poster.read_response())["id"] for _ in words]
    sequences = [int(one.partition("-")[2]) for one in ids]
    assert sequences == list(range(sequences[0], sequences[0] + 200))
    for word in words:
        client.expect_text(word)


# Leaks

def post_many(server, path, count, body, **options):
    """Sends so many requests over one connection, 100 of them pipelined."""
    poster, at_once = server.open(), 100
    data = b"".join(post(body, path, **options) for _ in range(at_once))
    for _ in range(count // at_once):
        poster.send(data)
        for _ in range(at_once):
            response = poster.read_response()
            assert response.status == 200, response
    poster.disconnect()


def test_many_posts_leak_nothing(server):
    pid = only_worker(server)
    files, sizes = descriptors(pid), []
    client = join(server, "leak")
    for _ in range(4):
        post_many(server, "/default?room=leak", 5000, b"x" * 200)
        for _ in range(5000):
            client.expect_text(b"x" * 200)
        sizes.append(memory(pid))
    client.disconnect()
    wait_until(lambda: descriptors(pid) <= files, seconds(5), "descriptors")
    assert_no_growth(sizes, 128 * 1024)


@pytest.mark.parametrize("path", ["file", "memory"])
def test_many_posts_without_clients_leak_nothing(server, path):
    pid, sizes = only_worker(server), []
    for _ in range(4):
        post_many(server, f"/{path}?room=nobody", 1000, b"x" * 3000)
        sizes.append(memory(pid))
    assert_no_growth(sizes, 128 * 1024)
    wait_for_no_files(server)


def test_many_resources_leak_nothing(server):
    pid, sizes = only_worker(server), []
    publisher = Publisher(server)
    for _ in range(4):
        for number in range(500):
            path = f"/default?room={number}"
            with_client = number % 50 == 0
            client = join(server, number) if with_client else None
            publisher.post("x", path=path, clients=int(with_client))
            if with_client:
                client.expect_text("x")
                client.leave()
                client.disconnect()
        sizes.append(memory(pid))
    assert_no_growth(sizes, 128 * 1024)
