"""The directive websocket_status: accepted values, and errors of nginx -t."""

import pytest

from config_errors import expect_error
from status_reader import report_of, wait_for_report


@pytest.mark.parametrize("line", [
    "websocket_status;", "websocket_status json;",
    "websocket_status prometheus;", "websocket_status html;"])
def test_directive_is_accepted_with(nginx, line):
    passed, output = nginx.check(f"location /status {{ {line} }}")
    assert passed and "[warn]" not in output, output


@pytest.mark.parametrize("line, pattern", [
    ("websocket_status xml;",
     'invalid value "xml" in "websocket_status" directive; expected "json", '
     '"prometheus" or "html"'),
    ("websocket_status '';", 'invalid value "" in "websocket_status"'),
    ("websocket_status json html;", "number of arguments"),
    ("websocket_status; websocket_status html;",
     '"websocket_status" directive is duplicate'),
    ("websocket_status; websocket echo;",
     '"websocket_status" directive conflicts with "websocket" and '),
    ("websocket echo; websocket_status;",
     '"websocket_status" directive conflicts with "websocket" and '),
    ("websocket_publish echo key; websocket_status;",
     '"websocket_publish" in the same location; use separate locations'),
    ("websocket_status; websocket_publish echo key;",
     '"websocket_publish" in the same location; use separate locations'),
    ("if ($host) { websocket_status; }", "not allowed here"),
    ("limit_except GET { websocket_status; }", "not allowed here"),
])
def test_directive_is_refused_with(nginx, line, pattern):
    expect_error(nginx, pattern, locations=f"location /status {{ {line} }}")


@pytest.mark.parametrize("options", [{"http": "websocket_status;"},
                                     {"server": "websocket_status;"}])
def test_directive_is_refused_outside_of_locations(nginx, options):
    expect_error(nginx, '"websocket_status" directive is not allowed here',
                 **options)


def test_location_needs_no_other_of_the_module(nginx):
    """The shared memory exists without any other location of the module."""
    assert report_of(nginx("location /status { websocket_status; }",
                           http="websocket_shared_memory 512k;"))["workers"]


def test_smallest_memory_fits_counters_and_messages(nginx):
    """The counters of 64 workers leave enough memory for messages."""
    server = nginx("location /echo { websocket echo; }"
                   "location /status { websocket_status; }",
                   http="websocket_shared_memory 512k;", workers=8)
    client = server.connect()
    client.text("x")
    client.expect_text("x")
    report = wait_for_report(server, lambda report: len(report["workers"])
                             == 8, "eight workers")
    assert report["zone"]["size"] > 300 * 1024
