"""Checks the errors that nginx -t reports."""

import re


def expect_error(nginx, *patterns, **options):
    """nginx -t fails with one message that has the file, the line, and each
    pattern."""
    passed, output = nginx.check(**options)
    assert not passed, output
    errors = re.findall(r"\[emerg\] \d+#\d+: (.*)", output)
    assert len(errors) == 1, output
    for pattern in (*patterns, r" in \S+nginx\.conf:\d+$"):
        assert re.search(pattern, errors[0]), errors[0]
