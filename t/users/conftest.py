"""Each test of this folder ends with a check that no log has a token."""

import glob

import pytest

from token_issuer import TokenIssuer


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return TokenIssuer(tmp_path_factory.mktemp("keys"))


def logs_of(server):
    for path in glob.glob(f"{server.prefix}/**/*.log", recursive=True):
        with open(path, "rb") as file:
            yield path, file.read().decode("latin-1")


def assert_no_secrets(server, secrets):
    for path, text in logs_of(server):
        found = [each for each in secrets if each in text]
        assert not found, f"{path} has {found}"


@pytest.fixture(autouse=True)
def no_token_in_any_log(request, live_pools):
    yield
    issuer = request.node.funcargs.get("issuer")
    if issuer is None or request.node.get_closest_marker("shows_tokens"):
        return
    for pool in live_pools:
        for server in pool.servers:
            assert_no_secrets(server, issuer.secrets())
