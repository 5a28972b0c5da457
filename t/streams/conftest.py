"""Tokens for the tests of this folder."""

import pytest

from token_issuer import TokenIssuer


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    return TokenIssuer(tmp_path_factory.mktemp("keys"))
