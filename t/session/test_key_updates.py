"""KeyUpdates of TLS 1.3, all of which OpenSSL handles within one call."""

import contextlib

import pytest

import wire
from key_update_client import KeyUpdateClient

LINE = "client sends too many TLS handshake messages"


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(server="ssl_protocols TLSv1.2 TLSv1.3;", tls=True)


@contextlib.contextmanager
def client_of(server):
    client = KeyUpdateClient(server.tls_port, "/echo")
    try:
        yield client
    finally:
        client.end()


def test_few_key_updates_are_followed(server):
    with client_of(server) as client:
        for _ in range(3):
            client.update(10)
            client.send(wire.text("new keys"))
            assert client.read() == wire.text("new keys", mask=None)
    assert LINE not in server.log()


def test_flood_of_key_updates_ends_the_connection(server):
    with client_of(server) as client:
        client.update(5000)
        with contextlib.suppress(ConnectionError):
            client.send(wire.text("is not read"))
        assert client.read() == b""
        server.wait_for_log(LINE)
        with client_of(server) as other:
            other.send(wire.text("others go on"))
            assert other.read() == wire.text("others go on", mask=None)
    assert server.log().count(LINE) == 1
