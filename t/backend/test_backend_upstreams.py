"""The upstreams of the pass location, and its internal redirects."""

import socket

import pytest

import wire
from certificates import Authority
from http_backend import (Answer, Gate, HttpBackend, answers, app, connect,
                          echo_messages, expect_echo, unused_port, upstream)
from name_server import NameServer


@pytest.fixture
def other():
    """A second backend."""
    started = HttpBackend()
    yield started
    started.close()


@pytest.fixture
def names():
    server = NameServer("127.0.0.1")
    yield server
    server.close()


# Several servers

@pytest.mark.parametrize("balancing", [
    "", "least_conn;", "random;", "hash $websocket_client;",
    "zone servers 64k; keepalive 8;",
])
def test_events_are_balanced(backend, other, nginx, balancing):
    server = nginx(app("@app") + """
location @app { proxy_pass http://backend; proxy_http_version 1.1;
    proxy_set_header Connection ""; }""", workers=2, http="""
upstream backend { %s server 127.0.0.1:%d; server 127.0.0.1:%d; }""" % (
        balancing, backend.port, other.port))
    for _ in range(40):
        client = server.connect("/app?room=1")
        client.text("x")
        client.expect_alive()
    events = [[each.next() for _ in range(each.events.qsize())]
              for each in (backend, other)]
    assert all(events)
    assert sorted(event.kind for each in events for event in each) == \
        ["connect"] * 40 + ["message"] * 40


def test_begun_event_is_repeated_if_it_is_non_idempotent(backend, other,
                                                         nginx):
    """Both servers get the same client and sequence, so that a backend can
    drop the second one."""
    server = nginx(app("@app") + """
location @app { proxy_pass http://backend;
    proxy_next_upstream error timeout non_idempotent; }""", workers=1,
                   http=upstream(backend.port,
                                 f"server 127.0.0.1:{other.port} max_fails=0;"))
    server.allow_errors("prematurely closed")
    client = server.connect("/app?room=1")
    backend.next("connect")
    asked = []

    def cut_once(event):
        asked.append(event)
        return Answer(raw=b"") if len(asked) == 1 else echo_messages(event)

    backend.answer = other.answer = cut_once
    expect_echo(client)
    first, second = asked
    assert (first.client, first.sequence) == (second.client, second.sequence)
    assert first.body == second.body == b"x"
    assert {backend.events.qsize(), other.events.qsize()} == {1}


def test_upstream_with_a_wrong_certificate(nginx, tmp_path):
    authority = Authority(tmp_path).certificate
    server = nginx(app("@app") + f"""
location @app {{ proxy_ssl_verify on;
    proxy_ssl_trusted_certificate {authority};
    proxy_pass https://127.0.0.1:$inner_port/inner; }}
location = /inner {{ return 200 "not verified"; }}""", tls=True, http="map 1 $inner_port { default @TLS_PORT@; }")
    server.allow_errors('certificate verify error|event "connect"')
    assert server.request(wire.upgrade_request("/app?room=1")).status == 502


# Names

RESOLVED = """
location @app {{ resolver 127.0.0.1:{names} ipv6=off; resolver_timeout 30s;
    set $name app.test; proxy_pass http://$name:{port}; }}"""


def test_name_of_the_backend_is_resolved(backend, names, nginx):
    server = nginx(app("@app") + RESOLVED.format(names=names.port,
                                                 port=backend.port))
    backend.answer = echo_messages
    client, _ = connect(server, backend)
    expect_echo(client)
    assert names.questions > 0


def test_name_of_the_backend_is_not_known(backend, names, nginx):
    server = nginx(app("@app") + RESOLVED.format(names=names.port,
                                                 port=backend.port))
    server.allow_errors('could not be resolved|event "connect"')
    names.addresses = ()
    assert server.request(wire.upgrade_request("/app?room=1")).status == 502


def test_answer_of_the_name_server_does_not_come(backend, nginx):
    """The events end at their timeout, while the name is being resolved."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = nginx("""
location = /app { websocket http $arg_room pass=@app timeout=100ms; }"""
                       + RESOLVED.format(names=silent.getsockname()[1],
                                         port=backend.port))
        server.allow_errors('event "connect"')
        for _ in range(3):
            response = server.request(wire.upgrade_request("/app?room=1"))
            assert response.status == 504
        gone = server.open()
        gone.send(wire.upgrade_request("/app?room=1"))
        gone.disconnect()
        server.wait_for_access_log(4, request="GET /app?room=1 HTTP/1.1")
        server.release_clients()


# Limits

def test_limit_conn_refuses_events(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ limit_conn events 1;
    proxy_pass http://127.0.0.1:{backend.port}; }}""", http="""
limit_conn_zone $remote_addr zone=events:1m;""", workers=1)
    server.allow_errors('limiting connections|event "(connect|message)"')
    gate = Gate()
    client, _ = connect(server, backend)
    backend.answer = lambda event: gate.wait() if event.body else None
    client.text("x")
    backend.next("message")
    request = wire.upgrade_request("/app?room=1")
    assert server.request(request).status == 503
    gate.open()
    client.expect_alive()
    for _ in range(3):  # each event has freed its place
        connect(server, backend)


def test_limit_conn_counts_clients(backend, nginx):
    server = nginx(f"""
location = /app {{ websocket http $arg_room pass=@app; limit_conn clients 2; }}
location @app {{ proxy_pass http://127.0.0.1:{backend.port}; }}""", http="""
limit_conn_zone $remote_addr zone=clients:1m;""")
    server.allow_errors("limiting connections")
    clients = [server.connect("/app?room=1") for _ in range(2)]
    request = wire.upgrade_request("/app?room=1")
    assert server.request(request).status == 503
    clients[0].leave()
    server.wait_for_access_log(status=101)
    server.connect("/app?room=1")


# Redirects inside of nginx

@pytest.mark.parametrize("locations", [
    "location @app { try_files /none @other; }",
    "location @app { error_page 418 = @other; return 418; }",
    "location @app { error_page 418 =200 /other; return 418; }",
    "location @app { rewrite ^ /other last; }",
    "location @app { proxy_pass http://127.0.0.1:%%PORT1%%; }",
    "location @app { auth_request /auth; try_files /none /other; }"
    "location = /auth { internal; try_files /none @yes; }"
    "location @yes { return 204; }",
])
def test_last_location_of_redirects_answers(nginx, locations):
    server = nginx(app("@app") + locations + """
location @other { add_header WebSocket-State other always;
    return 200 "other of $websocket_event"; }
location = /other { internal; add_header WebSocket-State other always;
    return 200 "other of $websocket_event"; }""", ports=1, servers="""
server { listen 127.0.0.1:%%PORT1%%;
    location / { add_header X-Accel-Redirect @other; return 200 unseen; } }""")
    client = server.connect("/app?room=1")
    client.expect_text("other of connect")
    for _ in range(3):
        client.text("x")
        client.expect_text("other of message")
    client.leave()


def test_redirect_to_a_file(nginx):
    server = nginx(app("@app") + """
location @app { proxy_pass http://127.0.0.1:%%PORT1%%; }
location = /nginx.pid { root %%PREFIX%%; }""", ports=1, servers="""
server { listen 127.0.0.1:%%PORT1%%;
    location / { add_header X-Accel-Redirect /nginx.pid; return 204; } }""")
    client = server.connect("/app?room=1")
    client.expect_text(f"{server.pid}\n")


def test_endless_redirect_is_an_error(nginx):
    server = nginx(app("/in") + "location = /in { rewrite ^ /in last; }")
    server.allow_errors('cycle|event "connect"')
    assert server.request(wire.upgrade_request("/app?room=1")).status == 500


# Other content handlers

@pytest.mark.parametrize("content, status", [
    ("websocket echo;", 405), ("websocket http key pass=@app;", 405),
    ("return 444;", 502), ("stub_status;", 405), ("empty_gif;", 405),
    ("return 101;", 502), ("return 199;", 502), ("return 600;", 502),
])
def test_handler_that_takes_no_events(nginx, content, status):
    server = nginx(app("@app") + f"location @app {{ {content} }}")
    server.allow_errors('event "(connect|disconnect)"')
    assert server.request(
        wire.upgrade_request("/app?room=1")).status == status


def test_event_is_published(nginx):
    server = nginx("""
location = /app { websocket http $arg_room pass=@app events=message
                  on_error=report; }
location = /room { websocket room talk; }
location @app { websocket_publish room talk; }""")
    listener = server.connect("/room")
    client = server.connect("/app?room=1")
    client.text("to all")
    listener.expect_text("to all")
    assert b'"clients":1' in client.read_frame().payload


def test_body_is_a_variable(nginx):
    server = nginx(app("@app") + """
location @app { return 200 "$request_body of $content_length"; }""")
    client = server.connect("/app?room=1")
    client.expect_text(" of 0")
    client.text("x" * 5000)
    client.expect_text("x" * 5000 + " of 5000")


def test_post_action_runs_after_the_answer(backend, nginx):
    server = nginx(app("@app") + f"""
location @app {{ post_action @after; return 200 "reply"; }}
location @after {{ proxy_pass http://127.0.0.1:{backend.port}; }}""")
    backend.answer = answers(message=Answer(500, b"not for the client"))
    client, _ = connect(server, backend)
    client.expect_text("reply")
    for _ in range(2):
        client.text("x")
        client.expect_text("reply")
        backend.next("message")
    client.expect_alive()


def test_server_that_is_down_is_left_out(backend, nginx):
    server = nginx(app("@app") + "location @app { proxy_pass http://backend; }",
                   http=f"""
upstream backend {{ server 127.0.0.1:{unused_port()} max_fails=1;
    server 127.0.0.1:{backend.port} backup; }}""", workers=1)
    server.allow_errors(r"connect\(\) failed")
    for _ in range(4):
        connect(server, backend)
    assert server.log().count("connect() failed") == 1
