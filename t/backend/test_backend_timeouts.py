"""Events that end at their timeout, in each state of their request. Freed memory
is overwritten, so that its use fails."""

import pytest

import wire
from http_backend import Answer, Gate, connect

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"
PROXY = "proxy_pass http://127.0.0.1:{port};"
AUTH = "location = /auth {{ internal; proxy_pass http://127.0.0.1:{port}; }}"

# The directives of the pass location, and other locations.
LOCATIONS = {
    "before the header": (PROXY, ""),
    "unbuffered": (PROXY + "proxy_buffering off;", ""),
    "kept connection": ("proxy_pass http://backend; proxy_http_version 1.1;"
                        "proxy_set_header Connection '';", ""),
    "subrequest": ("auth_request /auth;" + PROXY, AUTH),
    "mirror": (PROXY + "mirror /auth;", AUTH),
    "after a redirect": ("error_page 418 = @last; return 418;",
                         "location @last {{ " + PROXY + " }}"),
    "intercepted": (PROXY + "proxy_intercept_errors on;"
                    "error_page 404 = @last;",
                    "location @last {{ " + PROXY + " }}"),
    "post action": (PROXY + "post_action @after;",
                    "location @after {{ return 204; }}"),
    "cache": (PROXY + "proxy_cache one; proxy_cache_methods POST; "
              "proxy_cache_key $args; proxy_cache_lock on;"
              "proxy_cache_valid any 1m;", ""),
}


@pytest.fixture(params=LOCATIONS)
def server(request, backend, nginx):
    directives, others = LOCATIONS[request.param]
    started = nginx(f"""
location /app {{ websocket http $arg_room pass=@app timeout=200ms
                 on_error=report; }}
location /talk {{ websocket http $arg_room pass=@app timeout=200ms
                  on_error=report events=message; }}
location @app {{ {directives.format(port=backend.port)} }}
{others.format(port=backend.port)}""", workers=1, http=f"""
proxy_cache_path cache keys_zone=one:1m;
upstream backend {{ server 127.0.0.1:{backend.port}; keepalive 4;
    keepalive_timeout 1s; }}""")
    started.allow_errors('event "')
    return started


@pytest.mark.parametrize("begun", [False, True])
def test_event_ends_at_its_timeout(server, backend, begun):
    """`begun`: the backend has sent a part of its answer."""
    gate = Gate()

    def begin_answer():
        yield HEAD
        gate.wait()

    def answer(event):
        if begun and event.kind == "message":
            return Answer(raw=begin_answer())
        return gate.wait() if event.kind == "connect" else None

    try:
        if begun:
            client = server.connect("/talk?room=1")
            backend.answer = answer
            client.text("same")
            client.expect_alive()
        backend.answer = answer
        others = [server.open() for _ in range(3)]
        for other in others:
            other.send(wire.upgrade_request("/app?room=2"))
        for other in others:
            assert other.read_response().status == 504
    finally:
        gate.open()


def test_event_ends_while_limit_req_delays_it(backend, nginx):
    server = nginx(f"""
location /app {{ websocket http $arg_room pass=@app timeout=100ms; }}
location /first {{ websocket http $arg_room pass=@app events=connect; }}
location @app {{ limit_req zone=rate burst=10;
    proxy_pass http://127.0.0.1:{backend.port}; }}""", http="""
limit_req_zone $scheme zone=rate:1m rate=1r/m;""")
    server.allow_errors('event "')
    connect(server, backend, "/first?room=1")
    for _ in range(3):
        response = server.request(wire.upgrade_request("/app?room=1"))
        assert response.status == 504
    assert backend.events.empty()
