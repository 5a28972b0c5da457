"""The location of `pass`: all that nginx does for requests happens to events
too."""

import os
import signal
import socket

import pytest

import wire
from http_backend import (Answer, Gate, app, echo_messages, expect_echo,
                          unused_port, upstream)
from nginx_server import seconds, wait_until


@pytest.mark.parametrize("directives", [
    "return 204;", 'return 200 "";', "default_type a/b; return 200;",
])
def test_location_without_backend(nginx, directives):
    server = nginx(app("@app") + f"location @app {{ {directives} }}",
                   workers=1)
    client = server.connect("/app?room=1")
    for _ in range(3):
        client.text("x")
    client.expect_alive()


def test_return_replies(nginx):
    server = nginx(app("/reply") + """
location /reply { return 200 "$websocket_event of $websocket_resource"; }""")
    client = server.connect("/app?room=1")
    assert client.read_frame().payload == b"connect of 1"
    client.text("x")
    assert client.read_frame().payload == b"message of 1"


@pytest.mark.parametrize("target", ["@app", "/inner?room=x%0d%0aWho:%20y"])
def test_variables_add_no_fields(backend, nginx, target):
    """A key may have line breaks. In an event its variables are encoded."""
    server = nginx(f"""
location = /app {{ websocket http $websocket_arg_room pass={target}; }}
proxy_set_header Room $websocket_resource;
proxy_set_header Argument $websocket_arg_room;
proxy_set_body "$websocket_resource $websocket_arg_room";
location @app {{ proxy_pass http://127.0.0.1:{backend.port}; }}
location = /inner {{
    internal; proxy_pass http://127.0.0.1:{backend.port}; }}""")
    client = server.connect("/app?room=a+%C3%A9%0d%0aWebSocket-User:%20admin")
    client.text("x")
    key = "a%20%C3%A9%0D%0AWebSocket-User%3A%20admin"
    argument = key if target == "@app" else "x%0D%0AWho%3A%20y"
    for kind in ("connect", "message"):
        event = backend.next(kind)
        assert event.fields["WebSocket-User"] is event.fields["Who"] is None
        assert event.fields["WebSocket-Resource"] == key
        assert event.fields["Room"] == key
        assert event.fields["Argument"] == argument
        assert event.body.decode() == f"{key} {argument}"


def test_keepalive_connections_are_used_again(backend, nginx):
    ports = set()
    answer = backend.answer
    backend.answer = lambda event: ports.add(event.peer) or answer(event)
    server = nginx(app("@app") + """
location @app {
    proxy_pass http://backend; proxy_http_version 1.1;
    proxy_set_header Connection ""; }""",
                   http=upstream(backend.port, "keepalive 4;"), workers=1)
    client = server.connect("/app?room=1")
    for _ in range(5):
        client.text("x")
        backend.next()
    assert len(ports) == 1


def test_next_upstream_is_not_asked_for_an_event_that_has_begun(backend, nginx):
    """POST is not idempotent: an event that a server may have is not repeated;
    one that found no server is."""
    server = nginx(app("@app") + "location @app { proxy_pass http://backend; }",
                   http=upstream(backend.port,
                                 f"server 127.0.0.1:{unused_port()} "
                                 "max_fails=0;"),
                   workers=1)
    server.allow_errors("connect\\(\\) failed|prematurely closed|event \"message")
    backend.answer = lambda event: Answer(raw=b"") if event.body == b"fail" \
        else None
    for _ in range(4):
        client = server.connect("/app?room=1")
        backend.next("connect")
    client.text("fail")
    assert client.read_frame().close_code == 1011
    client.close(1011)
    assert backend.next("message").body == b"fail"
    assert backend.next("disconnect")


def test_backend_that_is_down(nginx):
    server = nginx(app("@app") + f"""
location @app {{ proxy_pass http://127.0.0.1:{unused_port()}; }}""")
    server.allow_errors("connect\\(\\) failed|event \"connect\"")
    assert server.request(wire.upgrade_request("/app?room=1")).status == 502


def test_error_page_replaces_an_answer(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{
    proxy_pass http://127.0.0.1:{backend.port};
    proxy_intercept_errors on; error_page 404 =200 @other; }}
location @other {{ return 200 "other"; }}""")
    backend.answer = lambda event: Answer(404) if event.body else None
    client = server.connect("/app?room=1")
    client.text("x")
    assert client.read_frame().payload == b"other"


@pytest.mark.parametrize("status", [204, 403])
def test_auth_request_decides(backend, nginx, status):
    server = nginx(app("@app") + f"""
location @app {{
    auth_request /auth; auth_request_set $who $sent_http_who;
    proxy_set_header Who $who;
    proxy_pass http://127.0.0.1:{backend.port}; }}
location = /auth {{ internal; add_header Who someone always;
    return {status}; }}""")
    server.allow_errors("access forbidden")
    request = wire.upgrade_request("/app?room=1")
    if status == 403:
        assert server.request(request).status == 403
        assert backend.events.empty()
    else:
        client = server.connect("/app?room=1")
        client.text("x")
        backend.next("connect")
        assert backend.next("message").body == b"x"


def test_shutdown_timeout_while_a_subrequest_is_out(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ auth_request /auth; proxy_pass http://127.0.0.1:1; }}
location = /auth {{ internal; proxy_set_header Client $websocket_client;
    proxy_pass http://127.0.0.1:{backend.port}; }}""",
                   main="worker_shutdown_timeout 100ms;")
    server.allow_errors('event "|connect\\(\\) failed')
    gate = Gate()
    backend.answer = lambda event: gate.wait() if event.kind == "connect" \
        else None
    client = server.open()
    client.send(wire.upgrade_request("/app?room=1"))
    event = backend.next("connect")
    assert event.fields["Client"] == event.fields["WebSocket-Client"]
    workers = server.worker_pids()
    server.reload()
    server.wait_for_workers_gone(workers)
    assert backend.next("disconnect").client == event.client
    gate.open()


def test_mirror_that_lasts_longer_than_the_timeout(backend, nginx):
    gate = Gate()
    backend.answer = lambda event: gate.wait() \
        if "copy" in event.path else Answer(200, b"reply")
    server = nginx(f"""
location = /app {{ websocket http $arg_room pass=/in timeout=1s
    events=message; }}
location = /in {{ mirror /copy; proxy_pass http://127.0.0.1:{backend.port}; }}
location = /copy {{ internal; proxy_pass http://127.0.0.1:{backend.port}; }}
""")
    client = server.connect("/app?room=1")
    client.text("x")
    assert client.read_frame().payload == b"reply"
    gate.open()


@pytest.mark.parametrize("answer", [Answer(200, b"\xff"), Answer(502)])
@pytest.mark.parametrize("handler", ["http two pass=@two", "echo"])
def test_error_page_that_is_another_websocket(backend, nginx, answer, handler):
    """Nothing of the first location's answer holds for it."""
    server = nginx(f"""
location = /app {{ websocket http $arg_room pass=@app;
    error_page 502 = /two; }}
location = /two {{ websocket {handler}; }}
location @app {{ proxy_intercept_errors on; error_page 502 = @app2;
    proxy_pass http://127.0.0.1:{backend.port}; }}
location @app2 {{ return 444; }}
location @two {{ return 403; }}""")
    server.allow_errors('event "connect"')
    answer.fields = (("WebSocket-Protocol", "a"), ("Set-Cookie", "b=c"))
    backend.answer = lambda event: answer
    response = server.request(wire.upgrade_request(
        "/app?room=1", protocol="a, b"))
    assert response.status == (101 if handler == "echo" else 403)
    assert response.header("Set-Cookie") is None


def test_access_rules_see_the_address_of_the_client(backend, nginx):
    server = nginx(app("@app") + app("@none", "none") + f"""
location @app {{ allow 127.0.0.1; deny all;
    proxy_set_header Address $remote_addr;
    proxy_set_header Own $server_addr:$server_port;
    proxy_pass http://127.0.0.1:{backend.port}; }}
location @none {{ deny 127.0.0.1;
    proxy_pass http://127.0.0.1:{backend.port}; }}""")
    server.allow_errors("access forbidden")
    server.connect("/app?room=1")
    event = backend.next("connect")
    assert event.fields["Address"] == "127.0.0.1"
    assert event.fields["Own"] == f"127.0.0.1:{server.port}"
    assert server.request(wire.upgrade_request("/none?room=1")).status == 403


@pytest.mark.parametrize("host", ["localhost", "example.org:8443"])
def test_host_is_the_one_of_the_client(backend, nginx, host):
    server = nginx(app("@app") + f"""
location @app {{ proxy_set_header Host $http_host;
    proxy_set_header Server $host;
    proxy_pass http://127.0.0.1:{backend.port}; }}""")
    server.connect("/app?room=1", host=host).text("x")
    for kind in ("connect", "message"):
        fields = backend.next(kind).fields
        assert fields["Host"] == host
        assert fields["Server"] == host.partition(":")[0]


def test_limit_req_delays_events(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ limit_req zone=rate burst=10;
    proxy_pass http://127.0.0.1:{backend.port}; }}""", http="""
limit_req_zone $remote_addr zone=rate:1m rate=50r/s;""")
    backend.answer = echo_messages
    client = server.connect("/app?room=1")
    for number in range(5):
        expect_echo(client, str(number))
    server.wait_for_log("delaying request")


def test_address_of_a_unix_socket(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ proxy_set_header Own $server_addr;
    proxy_pass http://127.0.0.1:{backend.port}; }}""",
                   server="listen unix:%%PREFIX%%/socket-of-the-server;")
    path = os.path.join(server.prefix, "socket-of-the-server")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(wire.upgrade_request("/app?room=1"))
        assert backend.next("connect").fields["Own"] == "unix:" + path


@pytest.mark.parametrize("target", ["/in", "@in"])
def test_size_limit_of_bodies_holds_for_a_uri(backend, nginx, target):
    server = nginx(app(target) + f"""
location {target} {{ client_max_body_size 100;
    proxy_pass http://127.0.0.1:{backend.port}; }}""")
    server.allow_errors("intended to send too large|status 413")
    client = server.connect("/app?room=1")
    backend.next("connect")
    client.text("x" * 101)
    if target == "@in":
        assert len(backend.next("message").body) == 101
    else:
        assert client.read_frame().close_code == 1011


def test_proxy_without_buffers(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ proxy_buffering off; proxy_request_buffering off;
    proxy_pass http://127.0.0.1:{backend.port}; }}""")
    backend.answer = echo_messages
    client = server.connect("/app?room=1")
    for size in (1, 5000, 300000):
        expect_echo(client, "x" * size)


def test_chunked_and_compressed_answers(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ proxy_http_version 1.1; gzip on; gzip_min_length 0;
    gzip_types text/plain; add_header X-Own 1 always; sub_filter a b;
    proxy_pass http://127.0.0.1:{backend.port}; }}""")
    backend.answer = lambda event: Answer(raw=(
        b"HTTP/1.1 200 OK\r\n"
        b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) if event.body else None
    client = server.connect("/app?room=1", headers=[
        ("Accept-Encoding", "gzip")])
    client.text("x")
    assert client.read_frame().payload == b"abcde"


def test_answer_from_a_cache_file(backend, nginx):
    """nginx then sends a file and no memory."""
    server = nginx(app("@app") + f"""
location @app {{
    proxy_cache answers; proxy_cache_methods POST; proxy_cache_valid 200 1h;
    proxy_cache_key $request_body; proxy_pass http://127.0.0.1:{backend.port};
}}""", http="proxy_cache_path cache keys_zone=answers:1m;")
    backend.answer = lambda event: Answer(200, b"large" * 50000) \
        if event.body else None
    client = server.connect("/app?room=1")
    backend.next("connect")
    for _ in range(3):
        client.text("same")
        assert client.read_frame().payload == b"large" * 50000
    backend.next("message")
    assert backend.events.empty()


def test_events_are_logged_one_line_each(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ access_log events.log events;
    proxy_pass http://127.0.0.1:{backend.port}; }}""", http="""
log_format events
    '$websocket_event $websocket_client $websocket_resource $status $request';
""")
    client = server.connect("/app?room=1")
    number = backend.next("connect").client
    client.text("x")
    backend.next("message")
    client.disconnect()
    backend.next("disconnect")

    def lines():
        with open(os.path.join(server.prefix, "events.log"),
                  encoding="utf-8") as file:
            return file.read().splitlines()
    wait_until(lambda: len(lines()) == 3, seconds(5), "three lines")
    assert lines() == [f"{kind} {number} 1 204 POST /app?room=1 HTTP/1.1"
                       for kind in ("connect", "message", "disconnect")]


def test_variables_of_tls(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ proxy_set_header Scheme $scheme;
    proxy_set_header Protocol $ssl_protocol;
    proxy_pass http://127.0.0.1:{backend.port}; }}""", tls=True)
    client = server.connect("/app?room=1", tls=True)
    client.text("x")
    for kind in ("connect", "message"):
        event = backend.next(kind)
        assert event.fields["Scheme"] == "https"
        assert event.fields["Protocol"].startswith("TLS")
    client.disconnect()
    backend.next("disconnect")


def test_upstream_with_tls(nginx):
    server = nginx(app("@app") + """
location @app { proxy_pass https://127.0.0.1:$inner_port/inner; }
location = /inner { return 200 "over $scheme"; }""", tls=True, http="""
map 1 $inner_port { default @TLS_PORT@; }""")
    client = server.connect("/app?room=1")
    assert client.read_frame().payload == b"over https"


@pytest.mark.parametrize("way", [signal.SIGHUP, signal.SIGQUIT])
def test_clients_of_a_worker_that_ends_have_disconnected(backend, nginx, way):
    server = nginx(app("@app") + f"""
location @app {{ proxy_pass http://127.0.0.1:{backend.port}; }}""",
                   http="websocket_drain 100ms;", workers=2)
    clients = [server.connect("/app?room=1") for _ in range(10)]
    numbers = {backend.next("connect").client for _ in clients}
    server.send_signal(way)
    for client in clients:
        client.close(client.read_frame().close_code)
    ends = [backend.next("disconnect") for _ in numbers]
    assert {end.client for end in ends} == numbers
    assert {end.fields["WebSocket-Close-Code"] for end in ends} == {"1001"}
    assert backend.events.empty()
