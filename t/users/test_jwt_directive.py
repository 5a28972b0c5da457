"""Errors of the directive websocket_jwt. They never have bytes of keys."""

import itertools
import re

import pytest

from token_issuer import SECRET


def errors(nginx, arguments):
    passed, output = nginx.check(
        f"location /a {{ websocket echo; websocket_jwt {arguments}; }}")
    assert not passed
    return output


@pytest.mark.parametrize("arguments, error", [
    ("on", 'invalid value "on" in "websocket_jwt" directive; expected "off", '
           "or a source and a key file"),
    ("token KEY", 'invalid value "token".*expected "subprotocol", or a value '
                  "with variables"),
    ("$arg_t KEY maybe", 'invalid value "maybe".*expected "required"'),
    ("$arg_t KEY issuer=", 'invalid value "issuer=".*expected "required"'),
    ("$arg_t KEY leeway=soon", 'invalid value "soon" of "leeway="'),
    ("$arg_t KEY leeway=-1", 'invalid value "-1" of "leeway="'),
    ("$nowhere KEY", 'unknown "nowhere" variable'),
    ("$arg_t /nowhere/key", 'cannot read key file "/nowhere/key".*No such'),
    ("$arg_t /tmp", 'cannot read key file "/tmp".*directory'),
    ("$arg_t KEY; websocket_jwt off",
     '"websocket_jwt" directive is duplicate'),
])
def test_wrong_arguments(nginx, issuer, arguments, error):
    output = errors(nginx, arguments.replace("KEY", issuer.key_file()))
    assert re.search(error, output), output


@pytest.mark.parametrize("content, error", [
    (b"", "it has no key that can be used"),
    (b"secret:" + b"hush" * 7, "a secret is shorter than 32 bytes"),
    (SECRET, "it has no key that can be used"),
    (b'{"keys":[{"kty":"oct","k":"aHVzaA"}]}',
     'key 1 of "keys": a secret is shorter'),
    (b'{"keys":[{"kty":"RSA","d":"aHVzaA"}]}',
     'key 1 of "keys": it is a private key'),
    (b"{hush", "it is not a JWK set"),
    (b"-----BEGIN PUBLIC KEY-----\naHVzaGh1c2g=\n-----END PUBLIC KEY-----\n",
     "a public key of it is malformed"),
    (b"-----BEGIN PRIVATE KEY-----\naHVzaGh1c2g=\n-----END PRIVATE KEY-----\n",
     "it has a private key"),
    (b"-----BEGIN PUBLIC KEY-----\naHVzaGh1", "a PEM block of it is malformed"),
    (b"x" * (1024 * 1024 + 1), "it is larger than 1 MB"),
], ids=itertools.count())
def test_unusable_key_file(nginx, issuer, content, error):
    file = issuer.key_file("unusable", content)
    output = errors(nginx, f"$arg_t {file}")
    assert f'cannot use key file "{file}" in "websocket_jwt" directive: ' \
        + error in output
    for hush in "hush", "aHVza", SECRET.decode():
        assert hush not in output


def test_relative_key_file_begins_at_the_configuration(nginx):
    assert "nginx/keys/none" in errors(nginx, "$arg_t keys/none") or \
        "/keys/none" in errors(nginx, "$arg_t keys/none")
