"""The handlers of src/sdk/README.md are compiled and run."""

import os
import re

import pytest

import wire
from nginx_server import ROOT
from plugin_builder import build_source


def handlers():
    """{name: source} of the C++ in the text."""
    with open(os.path.join(ROOT, "src/sdk/README.md"),
              encoding="utf-8") as file:
        sources = re.findall(r"^```cpp\n(.*?)^```$", file.read(),
                             re.MULTILINE | re.DOTALL)
    return {re.search(r'WEBSOCKET_HANDLER\("(\w+)"', source).group(1): source
            for source in sources}


@pytest.fixture(scope="module", name="library")
def library_of_all():
    return build_source("\n".join(handlers().values()), "cpp")


def test_chat_is_that_of_the_examples():
    with open(os.path.join(ROOT, "examples/chat/chat.cpp"),
              encoding="utf-8") as file:
        assert file.read().endswith(handlers()["chat"])


def test_chat_reaches_all_clients_of_its_room(nginx, library):
    server = nginx(r"location ~ ^/chat/(?<room>\w+)$ { websocket chat $room; }",
                   http=f"websocket_plugin {library};")
    ada = server.connect("/chat/lobby?name=Ada")
    ada.expect_text("Ada has joined lobby")
    bob = server.connect("/chat/lobby?name=Bob")
    bob.expect_text("Bob has joined lobby")
    ada.expect_text("Bob has joined lobby")
    bob.send(wire.text("hello"))
    ada.expect_text("Bob says hello")
    bob.expect_text("Bob says hello")


def test_clock_sends_the_time(nginx, library):
    server = nginx("location = /clock { websocket clock interval=1; }",
                   http=f"websocket_plugin {library};")
    assert re.fullmatch(rb"\d{10,}",
                        server.connect("/clock").read_frame().payload)


@pytest.mark.parametrize("interval", ["0", "3601", "soon", "5s"])
def test_clock_refuses_other_intervals(nginx, library, interval):
    passed, output = nginx.check(
        f"location = /c {{ websocket clock interval={interval}; }}",
        http=f"websocket_plugin {library};")
    assert not passed
    assert "interval must be 1 to 3600 seconds" in output


def test_background_work_answers_the_client(nginx, library):
    server = nginx("location = /load { websocket load_average; }",
                   http=f"websocket_plugin {library};")
    client = server.connect("/load")
    client.send(wire.text("now"))
    assert re.match(rb"\d+\.\d+ ", client.read_frame().payload)
