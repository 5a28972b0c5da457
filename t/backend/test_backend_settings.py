"""The parameters of `websocket http`: which nginx -t accepts, and how it
refuses the others."""

import pytest

NAMED = "location @app { return 204; }"


def check(nginx, parameters, more=NAMED):
    return nginx.check(f"location /app {{ websocket http key {parameters}; }}"
                       + more)


@pytest.mark.parametrize("parameters", [
    "pass=@app", "pass=/inner", "pass=/inner?a=b", "pass=/",
    "pass=@app events=connect", "pass=@app events=disconnect,message",
    "pass=@app timeout=1ms", "pass=@app timeout=2m",
    "pass=@app concurrency=1", "pass=@app on_error=close",
    "on_error=report pass=@app",
])
def test_parameters_are_accepted(nginx, parameters):
    passed, output = check(nginx, parameters)
    assert passed, output


@pytest.mark.parametrize("parameters, error", [
    ("", 'needs the parameter "pass=URI" or "pass=@name"'),
    ("timeout=1s", 'needs the parameter "pass=URI" or "pass=@name"'),
    ("pass=", 'invalid parameter "pass="'),
    ("pass=app", 'invalid parameter "pass=app" of handler "http" in '
                 '"websocket" directive; expected a URI or the name of a '
                 'location'),
    ("pass=http://a/", 'invalid parameter "pass=http://a/"'),
    ("pass=@", 'invalid parameter "pass=@"'),
    ("pass=@other", 'has no location "@other"'),
    ("pass=@app pass=@app", "expected each parameter once"),
    ("pass=@app events=", 'invalid parameter "events="'),
    ("pass=@app events=connect,", 'invalid parameter "events=connect,"'),
    ("pass=@app events=connect,connect",
     'invalid parameter "events=connect,connect"'),
    ("pass=@app events=close", "expected connect, message or disconnect"),
    ("pass=@app timeout=0", "expected a time above 0"),
    ("pass=@app timeout=x", "expected a time above 0"),
    ("pass=@app concurrency=0", "expected a number above 0"),
    ("pass=@app concurrency=-1", "expected a number above 0"),
    ("pass=@app on_error=ignore", "expected close or report"),
    ("pass=@app retries=3", "expected one of pass, events, timeout"),
])
def test_parameters_are_refused(nginx, parameters, error):
    passed, output = check(nginx, parameters)
    assert not passed
    assert error in output


def test_location_may_come_later_and_must_be_of_the_server(nginx):
    passed, output = check(nginx, "pass=@app")
    assert passed, output
    passed, output = nginx.check(
        "location /app { websocket http key pass=@far; }",
        servers="server { listen 127.0.0.1:1; location @far { return 204; } }")
    assert not passed
    assert 'has no location "@far"' in output


@pytest.mark.parametrize("target, warns", [
    ("@socket", True), ("/socket", True), ("/app", True), ("@app", False),
    ("/inner", False),
])
def test_location_for_clients_is_warned_of(nginx, target, warns):
    """It would refuse all events with 405."""
    passed, output = check(nginx, f"pass={target}", NAMED + """
location @socket { websocket echo; }
location /socket { websocket http key pass=@app; }
location /inner { return 204; }""")
    assert passed, output
    assert (f'passes its events to "{target}", which is for WebSocket clients'
            in output) == warns
