"""Text that a client chose cannot add a line to the error log, forge a field,
or send control sequences to a terminal."""

import os
import re
import urllib.parse

import pytest

import handler_log
import wire
from plugin_builder import build_file

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SMALL_MEMORY = "websocket_shared_memory 512k;"
LOCATIONS = """
location ~ (?s)^/room/(?<key>.*)$ { websocket room $key; }
location ~ (?s)^/probe/(?<key>.*)$ { websocket probe $key; }
location /throwing { websocket throwing; }
"""
PLUGINS = f"""
    {handler_log.plugin()} websocket_plugin {build_file('throwing.cpp')};
"""
LINE = re.compile(rb"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] \d+#\d+: ")
PRINTABLE = re.compile("[ -~\xa0-\u0600\u0620-\u200a\u2010-\u2027\u2030-\u205f"
                       "\u2070-\ud7ff\ue000-\ufefe\uff00-\ufff8"
                       "\U00010000-\U0001ffff]*")
# Names that clients choose, and their form in the log.
TEXTS = {
    "line-feed": (b"a\n2026/11/29 00:00:00 [emerg] 1#0: forged",
                  r"a\x0A2026/11/29 00:00:00 [emerg] 1#0: forged"),
    "carriage-return": (b"a\rb", r"a\x0Db"),
    "escape-sequence": (b"a\x1b[2Jb", r"a\x1B[2Jb"),
    "delete": (b"a\x7fb", r"a\x7Fb"),
    "next-line": ("a\x85b".encode(), r"a\xC2\x85b"),
    "csi": ("a\x9b2Jb".encode(), r"a\xC2\x9B2Jb"),
    "line-separator": ("a\u2028b".encode(), r"a\xE2\x80\xA8b"),
    "right-to-left": ("a\u202eb".encode(), r"a\xE2\x80\xAEb"),
    "no-utf8": (b"a\xff\xc0\x8ab", r"a\xFF\xC0\x8Ab"),
    "quotes": (b'a", code 1000, "b\\', r'a\", code 1000, \"b\\'),
    "letters": ("жж 日本".encode(), "жж 日本"),
}
BOTH = pytest.mark.parametrize("text, shown", TEXTS.values(), ids=TEXTS)
UTF8 = pytest.mark.parametrize(
    "text, shown", [pair for name, pair in TEXTS.items() if name != "no-utf8"],
    ids=[name for name in TEXTS if name != "no-utf8"])


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(LOCATIONS, http=PLUGINS)


@pytest.fixture
def small(nginx):
    """A new server, so that no log line is suppressed because it was written
    less than ten seconds ago."""
    running = nginx(LOCATIONS, http=SMALL_MEMORY + PLUGINS)
    running.allow_errors("no memory for")
    return running


def expect_clean(server):
    """Each line has nginx's form and only printable characters."""
    server.release_clients()
    with open(server.error_log, "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    assert lines
    for line in lines:
        assert LINE.match(line), line
        assert PRINTABLE.fullmatch(line.decode("utf-8")), line


def path_of(folder, text):
    return f"/{folder}/" + urllib.parse.quote(text, safe="")


def outside_quotes(shown):
    """Quotes and backslashes are not escaped outside of quotes."""
    return shown.replace(r'\"', '"').replace(r"\\", "\\")


@UTF8
def test_reason_of_a_close(server, text, shown):
    client = server.connect("/room/x")
    client.send(wire.close(4000, text))
    client.expect_close(4000)
    client.disconnect()
    line = server.wait_for_log("closed by client")
    assert f'code 4000, reason "{shown}"; in 0' in line
    expect_clean(server)


@BOTH
def test_key_in_a_line_of_the_module(small, text, shown):
    small.connect(path_of("room", text)).binary(bytes(400000))
    line = small.wait_for_log("no memory for")
    assert f'400000 bytes of room "{shown}" in' in line
    expect_clean(small)


@BOTH
def test_key_in_a_line_of_a_plug_in(server, text, shown):
    server.connect(path_of("probe", text)).expect_alive()
    line = server.wait_for_log('websocket: probe "')
    assert f'websocket: probe "{shown}": ' in line
    expect_clean(server)


def test_long_key_is_cut(server):
    server.connect(path_of("probe", b"a" * 400 + b"\n" * 400)).expect_alive()
    line = server.wait_for_log('websocket: probe "')
    assert re.search(r'probe "a{400}(\\x0A){27}\.\.\.": ', line), line
    expect_clean(server)


@UTF8
def test_text_of_a_plug_in_stays_on_its_line(server, text, shown):
    """For example, the text of an exception may have bytes that a client
    sent."""
    server.allow_errors("throw ")
    client = server.connect("/throwing")
    client.text(b"throw " + text)
    client.expect_close(1011)
    line = server.wait_for_log("throw ")
    assert line.endswith("throw " + outside_quotes(shown))
    expect_clean(server)


@BOTH
def test_field_of_a_released_request(nginx, text, shown):
    if b"\n" in text or b"\r" in text:
        pytest.skip("nginx refuses these in a field")
    server = nginx(LOCATIONS, http="websocket_request release;" + PLUGINS)
    client = server.open()
    client.send(wire.upgrade_request("/room/x").replace(
        b"\r\n\r\n", b"\r\nReferer: " + text + b"\r\n\r\n"))
    assert client.read_response().status == 101
    client.close(4000)
    client.expect_close(4000)
    client.disconnect()
    line = server.wait_for_log("closed by client")
    assert f', referrer: "{outside_quotes(shown)}"' in line
    expect_clean(server)


def test_lines_are_written_at_one_place():
    """All lines of the module are written by write_log(), which escapes
    them."""
    folder = os.path.join(ROOT, "src")
    callers = []
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), encoding="utf-8") as file:
                if re.search(r"\bngx_log_(error|abort|stderr)\w*\(",
                             file.read()):
                    callers.append(name)
    assert callers == ["log_line.hpp"], "call write_log() instead"
