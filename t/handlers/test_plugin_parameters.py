"""Parameters of the handlers of plug-ins, and their checks."""

import shutil
import subprocess

import pytest

import plugin_builder
from plugin_library import loading, refusal


def probe():
    return loading(plugin_builder.build_file("probe.c"))


def test_parameters_reach_the_handler(nginx):
    server = nginx('location /p { websocket probe k one=1 "two=a b" three=; }',
                   **probe())
    client = server.connect("/p")
    for name, value in [("one", "1"), ("two", "a b"), ("three", ""),
                        ("four", "(absent)"), ("on", "(absent)")]:
        client.text(f"ask parameter {name}")
        client.expect_text(value)


LOCATION_PARAMETERS = """
location /first { websocket probe $arg_k one=1 two=2; }
location /second { websocket probe $arg_k one=11; }
location /other { websocket probe other one=111; }
location = /moved {
    error_page 418 = @second;
    return 418;
}
location @second { websocket probe $arg_k one=at; }
"""


def ask(client, what):
    client.text(f"ask {what}")
    return client.read_frame().payload.decode()


@pytest.mark.parametrize("policy", ["keep", "release"])
@pytest.mark.parametrize("paths", [
    ["/first?k=x", "/second?k=x"], ["/second?k=x", "/first?k=x"],
    ["/moved?k=x", "/second?k=x", "/first?k=x"],
    ["/other", "/second?k=other", "/first?k=other"]])
def test_clients_have_the_parameters_of_their_locations(nginx, paths, policy):
    """The resource has the parameters of the location of its first client."""
    server = nginx(LOCATION_PARAMETERS, request_policy=policy, **probe())
    own = {"/first": ("1", "2"), "/second": ("11", "(absent)"),
           "/moved": ("at", "(absent)"), "/other": ("111", "(absent)")}
    clients = [(server.connect(path), path.partition("?")[0])
               for path in paths]
    for client, path in clients:
        assert (ask(client, "location one"), ask(client, "location two")) \
            == own[path]
        assert ask(client, "parameter one") == \
            ("111" if paths[0] == "/other" else "1")


def test_error_of_check_parameters_fails_the_check(nginx):
    passed, output = nginx.check(
        'location /p { websocket probe k "wrong=100%s is too much"; }',
        **probe())
    assert not passed
    assert '"probe" in "websocket" directive: 100%s is too much' in output


CHECKING_C = """
#include "minimal.h"
static const char *check(void *resource)
{
    (void)resource;
    return "as %(name)s";
}
static const websocket_handler_t checking =
    HANDLER("checking", .%(name)s = check);
static const websocket_handler_t *const handlers[] = {&checking};
static const websocket_plugin_t plugin = {
    sizeof(websocket_plugin_t), WEBSOCKET_PLUGIN_VERSION, handlers, 1};
const websocket_plugin_t *websocket_plugin(const websocket_server_t *given);
const websocket_plugin_t *websocket_plugin(const websocket_server_t *given)
{
    server = given;
    return &plugin;
}
"""
CHECKING_CPP = """
#include "websocket.hpp"
struct checking : websocket::resource<> {
    std::string %(name)s() override { return "as %(name)s"; }
};
WEBSOCKET_HANDLER("checking", checking)
"""


@pytest.mark.parametrize("name", ["check_parameters", "configured"])
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_both_names_of_the_parameter_check_are_called(nginx, language, name):
    text = CHECKING_C if language == "c" else CHECKING_CPP
    path = plugin_builder.build_source(text % {"name": name}, language)
    line, = refusal(nginx, path, "location /p { websocket checking k; }")
    assert f'"checking" in "websocket" directive: as {name}' in line


@pytest.mark.parametrize("name", ["check_parameters", "configured"])
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_override_of_both_names_compiles_without_warnings(compiler, name):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    done = subprocess.run(
        [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra",
         "-Wpedantic", "-Woverloaded-virtual", "-Werror", "-I",
         plugin_builder.SDK, "-x", "c++", "-"],
        input=CHECKING_CPP % {"name": name}, text=True, check=False,
        capture_output=True)
    assert done.returncode == 0, done.stderr


def test_resource_for_the_check_is_not_used_for_clients(nginx):
    server = nginx("location /p { websocket probe k; }", **probe())
    assert "resource created" not in server.log(since=0)
    server.connect("/p").expect_alive()
    server.wait_for_log('probe "k": resource created')
    assert "made for checking" not in server.log(since=0)


def test_handler_without_check_parameters_takes_no_parameters(nginx):
    passed, output = nginx.check(
        "location /p { websocket bare k one=1; }", **probe())
    assert not passed
    assert "takes no parameters" in output
