"""Servers of tests of `websocket http` overwrite memory that they free."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def overwrite_freed_memory(request):
    """Makes a use of freed memory fail, also in nginx itself. Tests of memory
    are excluded."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.module.__name__.endswith("_memory"):
            patch.setenv("MALLOC_PERTURB_", "165")
        yield
