"""What the handlers of plugins/probe.c wrote into an error log."""

import re

import plugin_builder
from nginx_server import seconds, wait_until

LINE = re.compile(r': websocket: probe "([^"]*)": (.*)$',
                  re.MULTILINE)


def plugin():
    """The directive that loads it."""
    return f"websocket_plugin {plugin_builder.build_file('probe.c')};\n"


def history(server, key=None, since=None):
    """What was written since the test began, for one resource or all."""
    return [words for name, words in LINE.findall(server.log(since))
            if key in (None, name)]


def told(server, pattern, key=None, since=None):
    """What was written that matches as a whole."""
    return [words for words in history(server, key, since)
            if re.fullmatch(pattern, words)]


def wait_told(server, pattern, count=1, key=None, since=None):
    """Waits for so many matching entries; returns all that match."""
    return wait_until(
        lambda: (lambda found: len(found) >= count and found)(
            told(server, pattern, key, since)),
        seconds(5), f"{count} times {pattern!r}")


def lives(server, since=0):
    """The history of each client: {id: [word, ...]}."""
    found = {}
    for words in told(server, r"(created|connected|disconnected|destroyed) "
                              r"\d+.*", since=since):
        event, number, *_ = words.split()
        found.setdefault(int(number), []).append(event)
    return found


FULL_LIFE = ["created", "connected", "disconnected", "destroyed"]


def judge_lives(server):
    """After the end of a server: each client was told of as it should."""
    for number, life in lives(server).items():
        assert life in (FULL_LIFE, ["created", "destroyed"]), (number, life)
    words = history(server, since=0)
    assert words.count("resource created") == words.count("resource destroyed")
