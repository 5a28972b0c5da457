"""Pages of other origins that publish: preflights, and the response fields that
let a browser pass the response to the page (CORS)."""

import pytest

import wire
from publish_client import Publisher, answer_of, post, refusals, request

APP = "https://app.example"
LOCATIONS = r"""
location /clients { websocket echo key; websocket_origins any; }
location = /default { websocket_publish echo key; }
location = /listed {
    websocket_origins https://app.example *.sub.example same null
                      capacitor://localhost;
    websocket_publish echo $websocket_arg_key;
    websocket_max_message_size 100;
}
location = /any { websocket_origins any; websocket_publish echo key; }
location = /guarded {
    websocket_origins https://app.example; websocket_publish echo key;
    auth_basic closed; auth_basic_user_file %%PREFIX%%/users;
}
location = /denied {
    websocket_origins https://app.example; websocket_publish echo key;
    deny all;
}
location = /limited {
    websocket_origins https://app.example; websocket_publish echo key;
    client_max_body_size 10;
}
location = /page {
    websocket_origins https://app.example;
    websocket_publish echo $websocket_arg_key;
    error_page 400 405 /words; error_page 401 403 @named;
}
location = /page-denied {
    websocket_origins https://app.example; websocket_publish echo key;
    deny all; error_page 403 /words;
}
location = /words { internal; return 200 words; }
location @named { return 200 named; }
location = /by-hand {
    websocket_origins https://app.example;
    if ($request_method = OPTIONS) {
        add_header Access-Control-Allow-Origin https://app.example always;
        add_header Access-Control-Allow-Methods "GET, POST, DELETE" always;
        return 204;
    }
    add_header Access-Control-Allow-Origin https://app.example always;
    add_header X-Own own always;
    websocket_publish echo key;
}
location = /added {
    websocket_origins https://app.example; websocket_publish echo key;
    add_header X-Own own always;
}
location = /other { return 200 other; }
"""
CORS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
        "Access-Control-Max-Age")


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS)


def preflight(path, origin=APP, method="POST", fields=None):
    headers = [("Origin", origin), ("Access-Control-Request-Method", method)]
    if fields is not None:
        headers.append(("Access-Control-Request-Headers", fields))
    return request("OPTIONS", path, headers=headers)


def ask(server, method, path, origin=APP, **options):
    return server.request(request(method, path, headers=[("Origin", origin)],
                                  **options))


def cors(response):
    """The fields that a browser reads; each must be unique."""
    found = {}
    for name in CORS:
        values = response.all(name)
        assert len(values) < 2, (name, values)
        if values:
            found[name] = values[0]
    return found


def allowed_page(origin=APP):
    return {"Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true"}


def expect_nothing_published(client):
    client.expect_alive()


# Preflights

@pytest.mark.parametrize("origin", [
    APP, "https://a.sub.example", "http://localhost", "https://localhost",
    "capacitor://localhost"])
def test_preflight_of_an_allowed_origin(server, origin):
    response = server.request(preflight("/listed?key=a", origin))
    assert response.status == 204 and not response.body
    assert cors(response) == {
        **allowed_page(origin),
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Max-Age": "600"}
    assert response.all("Vary") == ["Origin"]
    assert not refusals(server)


@pytest.mark.parametrize("fields", [
    "content-type", "authorization, content-type,x-csrf-token", ""])
def test_preflight_allows_the_fields_that_it_asks_for(server, fields):
    response = server.request(preflight("/listed", fields=fields))
    assert response.status == 204
    assert response.header("Access-Control-Allow-Headers") == fields


@pytest.mark.parametrize("fields", ["a b", "a, \"b\"", "a;b", "\xe4"])
def test_preflight_does_not_repeat_malformed_field_names(server, fields):
    response = server.request(preflight("/listed", fields=fields))
    assert response.status == 204
    assert response.header("Access-Control-Allow-Headers") is None


@pytest.mark.parametrize("path, origin", [
    ("/listed", "https://evil.example"), ("/listed", "http://app.example"),
    ("/listed", "https://app.example.evil"),
    ("/listed", "nul"), ("/listed", "app.example"),
    ("/default", APP), ("/default", "null"),
])
def test_preflight_of_another_origin_gets_403(server, path, origin):
    response = server.request(preflight(path, origin))
    assert response.status == 403
    assert not cors(response)
    [(status, reason)] = refusals(server)
    assert status == 403 and "is not allowed on host" in reason


@pytest.mark.parametrize("path", ["/guarded", "/denied", "/limited"])
def test_preflight_is_answered_before_access_is_checked(server, path):
    """Browsers send preflights without cookies and Authorization."""
    response = server.request(preflight(path))
    assert response.status == 204
    assert cors(response)["Access-Control-Allow-Origin"] == APP


def test_options_that_is_no_preflight_gets_405(server):
    response = ask(server, "OPTIONS", "/listed?key=a")
    assert response.status == 405
    assert response.header("Allow") == "GET, HEAD, POST, DELETE"
    assert cors(response) == allowed_page()


def test_preflight_publishes_nothing(server):
    client = server.connect("/clients")
    poster = Publisher(server, "/listed?key=key")
    response = poster.ask("OPTIONS", body="x", headers=[
        ("Origin", APP), ("Access-Control-Request-Method", "POST")])
    assert response.status == 204
    expect_nothing_published(client)
    assert poster.get_state()[0] == 1  # the connection is kept alive


# Answers

@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize("origin", [APP, "http://b.a.sub.example"])
def test_answer_to_an_allowed_page(server, method, origin):
    response = ask(server, method, "/listed?key=a", origin,
                   body="x" if method == "POST" else None)
    answer_of(response)
    assert cors(response) == allowed_page(origin)
    assert response.all("Vary") == ["Origin"]


def test_answer_to_any_page_is_without_credentials(server):
    for origin in (APP, "null", "whatever"):
        response = ask(server, "POST", "/any", origin, body="x")
        answer_of(response)
        assert cors(response) == {"Access-Control-Allow-Origin": "*"}
        assert not response.all("Vary")
    response = server.request(preflight("/any", "null", fields="x-a"))
    assert response.status == 204
    assert cors(response) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Allow-Headers": "x-a",
        "Access-Control-Max-Age": "600"}


def test_answer_to_null_is_without_credentials(server):
    """A page of any site can have the origin null."""
    response = ask(server, "POST", "/listed?key=a", "null", body="x")
    answer_of(response)
    assert cors(response) == {"Access-Control-Allow-Origin": "null"}


def test_answer_without_origin_has_vary_too(server):
    response = server.request(post("x", "/listed?key=a"))
    answer_of(response)
    assert not cors(response)
    assert response.all("Vary") == ["Origin"]


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize("path", ["/default", "/listed?key=key", "/guarded"])
def test_page_of_another_origin_gets_403_and_nothing_else(server, method,
                                                          path):
    if path == "/guarded":
        with open(f"{server.prefix}/users", "w", encoding="ascii") as file:
            file.write("me:{PLAIN}word\n")
    client = server.connect("/clients")
    response = server.request(request(
        method, path, body="x", headers=[
            ("Origin", "https://evil.example"),
            ("Authorization", "Basic bWU6d29yZA==")]))
    assert response.status == 403
    assert not cors(response)
    [(status, reason)] = refusals(server)
    assert status == 403
    assert reason.startswith('origin "https://evil.example" is not allowed on '
                             'host "localhost"')
    expect_nothing_published(client)


@pytest.mark.parametrize("path, method, options, status", [
    ("/listed?key=", "POST", {"body": "x"}, 400),
    ("/listed?key=a", "POST", {"body": b"\xff"}, 400),
    ("/listed?key=a", "POST", {"body": b"x" * 101}, 413),
    ("/listed?key=a", "PUT", {"body": b"x"}, 405),
    ("/listed?key=a&code=99", "DELETE", {}, 400),
    # errors of nginx
    ("/guarded", "POST", {"body": "x"}, 401),
    ("/denied", "POST", {"body": "x"}, 403),
    ("/limited", "POST", {"body": "x" * 11}, 413),
    # pages of another location
    ("/page", "PUT", {"body": "x"}, 405),
    ("/page?key=", "POST", {"body": "x"}, 400),
    ("/page-denied", "POST", {"body": "x"}, 403),
])
def test_error_is_given_to_an_allowed_page(server, path, method, options,
                                           status):
    server.allow_errors("access forbidden by rule|too large body|no user|open")
    response = ask(server, method, path, **options)
    assert response.status == (status if "/page" not in path
                               else response.status)
    assert ("/page" in path) == (response.body in (b"words", b"named"))
    assert cors(response) == allowed_page()
    evil = ask(server, method, path, "https://evil.example", **options)
    assert evil.status >= 400 or "/page" in path
    assert not cors(evil)


# The configuration's own fields

def test_cors_fields_of_the_configuration_replace_ours(server):
    answer = ask(server, "POST", "/by-hand", body="x")
    assert answer_of(answer)
    assert cors(answer) == {"Access-Control-Allow-Origin": APP}
    assert answer.all("X-Own") == ["own"]
    preflighted = server.request(preflight("/by-hand"))
    assert preflighted.status == 204
    assert cors(preflighted) == {
        "Access-Control-Allow-Origin": APP,
        "Access-Control-Allow-Methods": "GET, POST, DELETE"}


def test_other_fields_of_the_configuration_stay_beside_ours(server):
    response = ask(server, "POST", "/added", body="x")
    assert response.all("X-Own") == ["own"]
    assert cors(response) == allowed_page()


def test_other_locations_get_no_fields(server):
    response = ask(server, "GET", "/other")
    assert response.status == 200 and not cors(response)
    assert not response.all("Vary")
    response = server.request(wire.upgrade_request("/clients", origin=APP))
    assert response.status == 101 and not cors(response)
