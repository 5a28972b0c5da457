"""Source of plug-ins for the tests of websocket_plugin, and the replies or
errors of nginx with them."""

import re

import plugin_builder

ENTRY = """
#include "minimal.h"
static const websocket_handler_t first = HANDLER(%(first)s);
static const websocket_handler_t second = HANDLER(%(second)s);
static const websocket_handler_t *const handlers[] = {&first, &second};
static const websocket_plugin_t plugin = {
    %(size)s, %(version)s, handlers, %(count)s};
const websocket_plugin_t *websocket_plugin(const websocket_server_t *given);
const websocket_plugin_t *websocket_plugin(const websocket_server_t *given)
{
    server = given;
    return %(result)s;
}
"""
NOT_MARKED = "typedef int nothing; int something_else = 1;"
ECHO = "location / { websocket echo; }"


def source(answer="answer", **parts):
    """A plug-in with the handler `first`. `parts` replace parts of its
    source."""
    text = {"first": '"first"', "second": '"second"', "result": "&plugin",
            "version": "WEBSOCKET_PLUGIN_VERSION", "count": "1",
            "size": "sizeof(websocket_plugin_t)"}
    text.update(parts)
    return f'#define ANSWER "{answer}"\n' + ENTRY % text


def library(answer="answer", **parts):
    return plugin_builder.build_source(source(answer, **parts))


def loading(*paths):
    """The options of an nginx that loads these libraries."""
    return {"http": " ".join(f"websocket_plugin {path};" for path in paths)}


def refusal(nginx, path, locations=ECHO):
    """The errors of nginx -t with a library that must be refused."""
    passed, output = nginx.check(locations, **loading(path))
    assert not passed
    return [line for line in output.split("\n") if "[emerg]" in line]


def assert_refused(nginx, path, error, locations=ECHO):
    line, = refusal(nginx, path, locations)
    assert re.search(error, line), line
    assert "nginx.conf:" in line


def answer_of(server, path="/first"):
    client = server.connect(path)
    client.text("?")
    answer = client.read_frame().payload
    client.leave()
    client.disconnect()
    return answer.decode()
