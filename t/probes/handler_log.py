"""Reads the lines that the handlers of plugins/probe.c wrote to an error
log."""

import re

import plugin_builder
from nginx_server import seconds, wait_until

LINE = re.compile(r': websocket: probe "([^"]*)": (.*)$',
                  re.MULTILINE)


def plugin():
    """The directive that loads the plug-in."""
    return f"websocket_plugin {plugin_builder.build_file('probe.c')};\n"


def history(server, key=None, since=None):
    """The lines since the test began, of one resource or of all."""
    return [line for name, line in LINE.findall(server.log(since))
            if key in (None, name)]


def matching(server, pattern, key=None, since=None):
    """The lines that match the whole pattern."""
    return [line for line in history(server, key, since)
            if re.fullmatch(pattern, line)]


def wait_for_lines(server, pattern, count=1, key=None, since=None):
    """Waits for so many matching entries; returns all that match."""
    return wait_until(
        lambda: (lambda found: len(found) >= count and found)(
            matching(server, pattern, key, since)),
        seconds(5), f"{count} times {pattern!r}")


def client_events(server, since=0):
    """The lines of each client: {id: [word, ...]}."""
    found = {}
    for line in matching(
            server, r"(created|connected|disconnected|destroyed) \d+.*",
            since=since):
        event, number, *_ = line.split()
        found.setdefault(int(number), []).append(event)
    return found


ALL_EVENTS = ["created", "connected", "disconnected", "destroyed"]


def checked_server(start, locations):
    """Yields a server with the plug-in for a fixture; checks the events of its
    clients at the end."""
    running = start(locations, http=plugin())
    yield running
    running.stop()
    check_client_events(running)


def check_client_events(server):
    """Checks after the end of a server that each client had its callbacks in
    order."""
    for number, events in client_events(server).items():
        assert events in (ALL_EVENTS,
                          ["created", "destroyed"]), (number, events)
    lines = history(server, since=0)
    assert lines.count("resource created") == lines.count("resource destroyed")
