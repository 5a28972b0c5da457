"""The application in README.md runs, and README.md has all fields and
parameters of the handler `http`."""

import os
import re
import subprocess
import sys

import pytest

from example_backends import accepts
from loopback_ports import free_ports
from nginx_server import ROOT, die_with_parent, seconds, wait_until
from publish_client import Publisher


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def section():
    """The section about applications."""
    text = read("README.md").partition("\n## An application in any language\n")
    return text[2].partition("\n## ")[0]


def blocks():
    """The blocks of code in it."""
    found = re.findall(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", section(),
                       re.MULTILINE)
    return [re.sub("^ {4}", "", block, flags=re.MULTILINE) for block in found]


@pytest.fixture
def application(tmp_path):
    """Starts a program on a free port; returns the port."""
    started = []

    def start(program):
        port, = free_ports(1)
        path = tmp_path / "app.py"
        path.write_text(program.replace("8090", str(port)))
        started.append(subprocess.Popen(
            [sys.executable, path], stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent))
        wait_until(lambda: accepts(("127.0.0.1", port)), seconds(15),
                   "the application")
        return port

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_application_replies_and_gets_pushes(application, nginx):
    program, locations = blocks()
    port = application(program)
    server = nginx(locations.replace("8090", str(port)))
    client = server.connect("/app")
    client.text("hello")
    client.expect_text("HELLO")
    Publisher(server, "/push").post(b"Hello to all", clients=1)
    client.expect_text("Hello to all")


def literals(path, pattern):
    return set(re.findall(pattern, read(path)))


def test_section_has_all_fields():
    documented = set(re.findall(r"`(WebSocket-[\w-]+\w)[:`]", section()))
    sent = literals("src/nginx/events/request_fields.cpp",
                    r'"(WebSocket-[\w-]+)"')
    answered = literals("src/nginx/backend/client_answers.cpp",
                        r'find\("(WebSocket-[\w-]+)"\)')
    answered |= literals("src/nginx/backend/connect.cpp",
                         r'answered_field\(r, "(WebSocket-[\w-]+)"\)')
    assert len(sent) > 8 and len(answered) > 2
    assert sent | answered == documented


def test_section_has_all_parameters():
    names = literals("src/nginx/events/settings.cpp", r'given\.name == "(\w+)"')
    assert len(names) == 5
    assert set(re.findall(r"^\| `(\w+)=", section(), re.MULTILINE)) == names
