"""websocket_jwt: which tokens pass the handshake, and the claims that they
carry."""

import json

import pytest

import plugin_builder
import wire
from nginx_server import seconds, wait_until
from plugin_library import loading
from test_user import known_as, logged_user
from token_issuer import as_cookie, encode, in_seconds

NO_TOKEN = 'Bearer realm="websocket"'

LOCATIONS = r"""
websocket_jwt $cookie_token KEY;
location = /a { websocket user_echo; }
location = /optional { websocket_jwt $cookie_token KEY optional;
                       websocket user_echo; }
location = /off { websocket_jwt off; websocket user_echo; }
location = /field { websocket_jwt $http_authorization KEY;
                    websocket user_echo; }
location = /strict { websocket_jwt $cookie_token KEY issuer=a issuer=b
                                   audience=chat leeway=0s;
                     websocket user_echo; }
location = /lax { websocket_jwt $cookie_token KEY leeway=1h;
                  websocket user_echo; }
location = /other { websocket_user "other $websocket_claim_name";
                    websocket user_echo; }
location = /key { websocket user_echo $websocket_claim_room; }
location = /nobody { websocket_user ""; websocket user_echo; }
location = /rsa { websocket_jwt $cookie_token RSA; websocket user_echo; }
location = /claims {
    add_header X-Claim <$websocket_claim_c> always;
    websocket user_echo;
}
location = /early {
    if ($websocket_claim_admin = true) { return 410; }
    websocket user_echo;
}
location = /if { websocket user_echo; if ($arg_a) { set $b 1; } }
location = /basic { auth_basic users; auth_basic_user_file %%PREFIX%%/users;
                    satisfy any; allow all; websocket user_echo; }
location = /logged {
    access_log %%PREFIX%%/claims.log claims;
    websocket user_echo;
}
location = /limited { limit_conn users 1; websocket user_echo; }
location = /itself { websocket_jwt $websocket_claim_a KEY;
                     websocket user_echo; }
location = /moved { websocket user_echo; error_page 401 = @guest; }
location @guest { websocket_jwt off; websocket_user guest;
                  websocket user_echo; }
"""


@pytest.fixture(scope="module")
def rsa(issuer):
    return issuer.rsa()


@pytest.fixture(scope="module")
def server(module_nginx, issuer, rsa):
    path = plugin_builder.build_file("user_echo.cpp")
    text = LOCATIONS.replace("KEY", issuer.key_file()).replace("RSA", rsa[0])
    http = """
        log_format claims escape=json '<$websocket_claim_name> <$websocket_user>';
        limit_conn_zone $websocket_user zone=users:1m;
    """ + loading(path)["http"]
    server = module_nginx(text, tls=True, http=http)
    with open(f"{server.prefix}/users", "w", encoding="ascii") as file:
        file.write("carol:{PLAIN}secret\n")
    return server


def response_to(server, path, token=None, **fields):
    if token is not None:
        fields.update(as_cookie(token))
    return server.request(wire.upgrade_request(path, **fields))


def assert_refused(server, reason, path, token, **fields):
    response = response_to(server, path, token, **fields)
    assert response.status == 401
    assert response.all("WWW-Authenticate") == ['Bearer error="invalid_token"']
    line = server.wait_for_log("handshake refused with 401: the token")
    assert "the token is not valid: " + reason in line
    assert "connecting" not in server.log()


def test_subject_is_the_user(server, issuer):
    client = known_as(server, "42", "/a", **as_cookie(issuer.token(sub="42")))
    assert logged_user(server, client) == "42"


def test_token_without_subject_is_nobody(server, issuer):
    known_as(server, "", "/a", **as_cookie(issuer.token())).leave()


def test_missing_token_is_refused_without_an_error(server):
    response = response_to(server, "/a")
    assert response.status == 401
    assert response.all("WWW-Authenticate") == [NO_TOKEN]
    server.wait_for_log("handshake refused with 401: there is no token")
    assert "connecting" not in server.log()


def test_empty_token_is_no_token(server):
    response = response_to(server, "/a", "")
    assert response.all("WWW-Authenticate") == [NO_TOKEN]


def test_optional_token_may_be_missing(server, issuer):
    known_as(server, "", "/optional").leave()
    known_as(server, "7", "/optional",
             **as_cookie(issuer.token(sub="7"))).leave()


def test_optional_token_may_not_be_wrong(server, issuer):
    assert_refused(server, "it has expired", "/optional",
                   issuer.token(sub="7", exp=1))


def test_off_ends_the_inheritance(server):
    known_as(server, "", "/off").leave()


@pytest.mark.parametrize("scheme", ["", "Bearer ", "bearer "])
def test_scheme_of_authorization_is_not_part_of_the_token(
        server, issuer, scheme):
    token = issuer.token(sub="42")
    known_as(server, "42", "/field",
             headers=[("Authorization", scheme + token)]).leave()


def test_websocket_user_replaces_the_subject(server, issuer):
    token = issuer.token(sub="42", name="Ann")
    known_as(server, "other Ann", "/other", **as_cookie(token)).leave()
    known_as(server, "", "/nobody", **as_cookie(token)).leave()


def test_key_may_be_a_claim(server, issuer):
    known_as(server, "", "/key", **as_cookie(issuer.token(room="r1"))).leave()
    server.wait_for_log('"r1": connecting')
    assert response_to(server, "/key", issuer.token()).status == 400


def test_token_of_a_public_key(server, rsa):
    known_as(server, "42", "/rsa", **as_cookie(rsa[1]({"sub": "42"}))).leave()


def test_failed_verification_leaves_no_error_for_tls(server, rsa):
    head, _, signature = rsa[1]({"sub": "admin"}).rpartition(".")
    for wrong in signature[::-1], signature[4:], "AAAA" + signature[4:]:
        assert response_to(server, "/rsa",
                           f"{head}.{wrong}").status == 401
    known_as(server, "", "/off", tls=True).leave()
    token = as_cookie(rsa[1]({"sub": "42"}))
    known_as(server, "42", "/rsa", tls=True, **token).leave()


def test_public_key_is_no_secret(server, issuer, rsa):
    with open(rsa[0], "rb") as file:
        forged = issuer.token(sub="admin", secret=file.read())
    assert_refused(server, '"alg" does not fit the key', "/rsa", forged)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
@pytest.mark.parametrize("signed", [False, True])
def test_none_is_refused(server, issuer, name, signed):
    token = issuer.token({"sub": "admin"}, {"alg": name})
    assert_refused(server, '"alg" is none of the algorithms', "/a",
                   token if signed else token[:token.rindex(".") + 1])


def test_empty_signature_is_refused(server, issuer):
    token = issuer.token(sub="admin")
    assert_refused(server, "the signature is wrong", "/a",
                   token[:token.rindex(".") + 1])


@pytest.mark.parametrize("change, reason", [
    (lambda token: token + "=", "it is not a signed token"),
    (lambda token: token + "==", "it is not a signed token"),
    (lambda token: token + ".", "it is not a signed token"),
    (lambda token: token[:-1], "(it is not a signed|the signature is wrong)"),
    (lambda token: token + "AAAA", "the signature is wrong"),
    (lambda token: token.replace(".", "..", 1), "it is not a signed token"),
    (lambda token: "." + token, "it is not a signed token"),
    (lambda token: token.partition(".")[2], "it is not a signed token"),
    (lambda token: token + "+/", "it is not a signed token"),
    (lambda token: token + "\u00e9", "it is not a signed token"),
    (lambda token: "x" * 7000 + token, "it is not a signed token"),
    (lambda token: "x", "it is not a signed token"),
])
def test_other_forms_are_refused(server, issuer, change, reason):
    response = response_to(server, "/a", change(issuer.token(sub="42")))
    assert response.status == 401
    server.wait_for_log("the token is not valid: " + reason)


@pytest.mark.parametrize("header, reason", [
    ({"alg": "HS256", "crit": ["exp"]}, 'its header has "crit"'),
    ({"alg": "HS256", "b64": False}, 'its header has "b64"'),
    ({"alg": "HS256", "kid": 1}, '"kid" is not a string'),
    ('{"alg":"none","alg":"HS256"}', "its header is not a valid JSON object"),
    ('{"alg":"HS256","x":' + "[" * 1000 + "]" * 1000 + "}",
     "its header is not a valid JSON object"),
    ({"alg": "HS384"}, None),
])
def test_headers(server, issuer, header, reason):
    token = issuer.token({"sub": "42"}, header)
    if reason is None:
        known_as(server, "42", "/a", **as_cookie(token)).leave()
    else:
        assert_refused(server, reason, "/a", token)


@pytest.mark.parametrize("claims, reason", [
    ('{"exp":1}', "it has expired"),
    ('{"exp":0}', "it has expired"),
    ('{"exp":"9999999999"}', '"exp" is not a time'),
    ('{"exp":1e300}', '"exp" is not a time'),
    ('{"exp":-1}', '"exp" is not a time'),
    ('{"exp":99999999999999}', '"exp" is not a time'),
    ('{"exp":NaN}', "its claims are not a valid JSON object"),
    ('{"nbf":9999999999}', "it is not valid yet"),
    ('{"nbf":"0"}', '"nbf" is not a time'),
    ('{"sub":"a","sub":"b"}', "its claims are not a valid JSON object"),
    ('{"sub":"a\\u0000"}', '"sub" has a control character'),
    ('{"sub":"a\\r\\nX-Admin: 1"}', '"sub" has a control character'),
    ('{"sub":"' + "x" * 257 + '"}', '"sub" is longer than 256 bytes'),
    ('{"sub":42}', '"sub" is not a string'),
    ('{"aud":[["chat"]]}', '"aud" is neither a string nor a list of them'),
    ("[]", "its claims are not a valid JSON object"),
    ('{"a":' + "[" * 1000 + "]" * 1000 + "}",
     "its claims are not a valid JSON object"),
])
def test_bad_claims_are_refused(server, issuer, claims, reason):
    assert_refused(server, reason, "/a", issuer.token(claims))


@pytest.mark.parametrize("claims", [
    '{"exp":253402300799}', '{"exp":9999999999.5}', '{"exp":9.9e9}',
    '{"nbf":0,"iat":"?","jti":[1]}', '{"aud":"any","iss":"any"}', "{}",
])
def test_good_claims(server, issuer, claims):
    known_as(server, "", "/a", **as_cookie(issuer.token(claims))).leave()


def test_issuer_and_audience(server, issuer):
    for name in "a", "b":
        token = issuer.token(iss=name, aud=["x", "chat"], sub=name)
        known_as(server, name, "/strict", **as_cookie(token)).leave()


@pytest.mark.parametrize("claims, reason", [
    ({"aud": "chat"}, '"iss" is not the issuer'),
    ({"iss": "c", "aud": "chat"}, '"iss" is not the issuer'),
    ({"iss": "a", "aud": "other"}, '"aud" is not the audience'),
    ({"iss": "a"}, '"aud" is not the audience'),
])
def test_other_issuers_and_audiences_are_refused(
        server, issuer, claims, reason):
    assert_refused(server, reason, "/strict", issuer.token(claims))


def test_leeway(server, issuer):
    token = issuer.token(exp=in_seconds(-600), sub="1")
    assert response_to(server, "/strict", token).status == 401
    assert response_to(server, "/a", token).status == 401
    client = known_as(server, "1", "/lax", **as_cookie(token))
    client.expect_alive()
    client.leave()


@pytest.mark.parametrize("value, text", [
    ("x", "x"), (7, "7"), (1.5, "1.5"), (True, "true"), (None, "null"),
    ({"a": ["b\n"]}, '{"a":["b\\n"]}'), ([1, "\u00e9"], '[1,"\u00e9"]'),
    ("a\r\nX-Admin: 1", ""), ("a\0b", ""), ("", ""),
])
def test_claim_as_variable(server, issuer, value, text):
    client = known_as(server, "", "/claims",
                      **as_cookie(issuer.token(c=value)))
    assert client.response.header("X-Claim").encode(
        "latin-1").decode() == f"<{text}>"
    assert client.response.header("X-Admin") is None
    client.leave()


def test_claims_are_known_before_the_content_phase(server, issuer):
    assert response_to(server, "/early",
                       issuer.token(admin=True)).status == 410
    assert response_to(server, "/early", issuer.token(
        admin=True, secret=b"x" * 64)).status == 401
    known_as(server, "", "/early", **as_cookie(issuer.token())).leave()


def test_claims_and_user_are_logged_at_the_end(server, issuer):
    token = issuer.token(sub="42", name="Ann\u00e9")
    known_as(server, "42", "/logged", **as_cookie(token)).leave()
    server.wait_for_log("closed by client")
    wait_until(lambda: "<Ann\u00e9> <42>" in server.read("claims.log"),
               seconds(5), "the line of the access log")


def test_user_of_a_token_is_known_to_limit_conn(server, issuer):
    server.allow_errors("limiting connections by zone")
    one, two = (as_cookie(issuer.token(sub=name)) for name in ("1", "2"))
    first = known_as(server, "1", "/limited", **one)
    assert response_to(server, "/limited", **one).status == 503
    known_as(server, "2", "/limited", **two).leave()
    first.leave()


@pytest.mark.parametrize("path", ["/if?a=1", "/basic"])
def test_no_other_rule_replaces_the_token(server, issuer, path):
    assert response_to(server, path).status == 401
    assert response_to(server, path, "x").status == 401
    known_as(server, "42", path, **as_cookie(issuer.token(sub="42"))).leave()


def test_source_that_needs_the_token_itself_is_no_token(server):
    assert response_to(server, "/itself").status == 401


def test_location_of_error_page_has_its_own_rules(server, issuer):
    known_as(server, "guest", "/moved").leave()
    known_as(server, "42", "/moved",
             **as_cookie(issuer.token(sub="42"))).leave()


def test_other_refusals_come_first(server, issuer):
    token = as_cookie(issuer.token())
    for fields, status in (({"origin": "https://evil.example"}, 403),
                           ({"upgrade": None}, 426)):
        request = wire.upgrade_request("/a", **fields, **token)
        assert server.request(request).status == status


def test_reload_rotates_the_keys(nginx, issuer):
    file = issuer.key_file("rotated")
    path = plugin_builder.build_file("user_echo.cpp")
    server = nginx(f"location /a {{ websocket_jwt $cookie_token {file}; "
                   "websocket user_echo; }", **loading(path))
    old, new = issuer.token(sub="old"), issuer.token(sub="new",
                                                     secret=b"n" * 64)
    known_as(server, "old", "/a", **as_cookie(old)).leave()
    assert response_to(server, "/a", new).status == 401
    keys = [{"kty": "oct", "k": encode(key)}
            for key in (b"n" * 64, b"o" * 64)]
    issuer.key_file("rotated", json.dumps({"keys": keys}).encode())
    server.reload()
    known_as(server, "new", "/a", **as_cookie(new)).leave()
    assert response_to(server, "/a", old).status == 401
