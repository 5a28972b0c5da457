"""The parameters of the handler `room`."""

import pytest

@pytest.mark.parametrize("parameters", [
    "", "history=0", "history=1", "history=18446744073709551615",
    "history=5 history_time=30s", "history=5 history_time=500ms",
    "history=5 history_time=1h30m", "history_time=1d history=5",
    "history=5 history_time=90", "presence=on", "presence=off",
    "publish=on", "publish=off", "self=on", "self=off",
    "$arg_room history=5 history_time=1y presence=on publish=on self=off",
])
def test_parameters_are_taken(nginx, parameters):
    passed, output = nginx.check(
        f"location /room {{ websocket room {parameters}; }}")
    assert passed, output


@pytest.mark.parametrize("parameters, error", [
    ("history=", '"history" takes a number of messages, not ""'),
    ("history=-1", '"history" takes a number of messages, not "-1"'),
    ("history=5k", '"history" takes a number of messages, not "5k"'),
    ("history=18446744073709551616", '"history" takes a number'),
    ("history=5 history_time=0", '"history_time" takes a time like 30s, 5m,'),
    ("history=5 history_time=0s", "larger than 0"),
    ("history=5 history_time=", "larger than 0"),
    ("history=5 history_time=5x", '"history_time" takes a time'),
    ("history=5 history_time=s", '"history_time" takes a time'),
    ("history=5 history_time=1m1h", '"history_time" takes a time'),
    ("history=5 history_time=1s1s", '"history_time" takes a time'),
    ("history=5 history_time=999999999999y", '"history_time" takes a time'),
    ("history_time=5s", '"history_time" requires "history"'),
    ("history=0 history_time=5s", '"history_time" requires "history"'),
    ("presence=yes", '"presence" takes "on" or "off", not "yes"'),
    ("publish=", '"publish" takes "on" or "off", not ""'),
    ("self=On", '"self" takes "on" or "off", not "On"'),
    ("history=1 history=2", '"history" is given twice'),
    ("colour=red", 'unknown parameter "colour"; available: history, '
                   "history_time, presence, presence_grace, publish, self"),
])
def test_parameters_are_refused(nginx, parameters, error):
    passed, output = nginx.check(
        f"location /room {{ websocket room {parameters}; }}")
    assert not passed
    assert 'parameters of handler "room" in "websocket" directive: ' in output
    assert error in output
