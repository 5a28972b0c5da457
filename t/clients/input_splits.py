"""Marks that run a byte-level test with its input cut in several ways."""

import pytest

whole_and_bytewise = pytest.mark.parametrize(
    "cut", [None, "each"], ids=["whole", "bytewise"])
