"""websocket_plugin: libraries that load, errors of others, and reloads of a
changed library."""

import os
import re
import shutil
import signal
import subprocess

import pytest

import plugin_builder
from nginx_server import seconds, wait_until

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
    """A plug-in with one handler `first`, but for what is named."""
    text = {"first": '"first"', "second": '"second"', "result": "&plugin",
            "version": "WEBSOCKET_PLUGIN_VERSION", "count": "1",
            "size": "sizeof(websocket_plugin_t)"}
    text.update(parts)
    return f'#define ANSWER "{answer}"\n' + ENTRY % text


def library(answer="answer", **parts):
    return plugin_builder.build_source(source(answer, **parts))


def loading(*paths):
    """The options of an nginx that loads these."""
    return {"http": " ".join(f"websocket_plugin {path};" for path in paths)}


def refusal(nginx, path, locations=ECHO):
    """The error of nginx -t about a library that cannot be used."""
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


# Loading

def test_absolute_path(nginx):
    server = nginx("location /first { websocket first; }",
                   **loading(library()))
    assert answer_of(server) == "answer"


def test_path_relative_to_the_prefix(nginx, run_folder):
    relative = os.path.relpath(library(), os.path.join(run_folder, "prefix"))
    assert relative.startswith("../")
    server = nginx("location /first { websocket first; }",
                   **loading(relative))
    assert answer_of(server) == "answer"


def test_two_handlers_of_one_library_and_two_libraries(nginx):
    other = library("other", first='"third"')
    server = nginx("location /first { websocket first; }"
                   "location /second { websocket second; }"
                   "location /third { websocket third; }"
                   "location /echo { websocket echo; }",
                   **loading(library(count=2), other))
    assert answer_of(server, "/first") == "answer"
    assert answer_of(server, "/second") == "answer"
    assert answer_of(server, "/third") == "other"
    assert answer_of(server, "/echo") == "?"


def test_handler_in_cpp(nginx):
    path = plugin_builder.build_file("greeter.cpp")
    server = nginx("location /greet { websocket greeter; }", **loading(path))
    client = server.connect("/greet")
    client.expect_text("welcome")
    client.text("x")
    client.expect_text("hello x")
    client.leave()


def test_handler_that_is_built_against_a_shorter_structure(nginx):
    short = "offsetof(websocket_handler_t, pong_received)"
    server = nginx(
        "location /first { websocket first; }", **loading(library(
            first=f'"first", .size = {short}, .pong_received = (void *)8')))
    client = server.connect("/first")
    client.send(b"\x8a\x80aaaa")
    client.expect_alive()
    client.leave()


# Libraries that cannot be loaded.

def test_missing_file(nginx):
    assert_refused(nginx, "/nowhere/absent.so",
                   'cannot load plug-in "/nowhere/absent.so".*No such file')


def test_file_that_is_no_library(nginx, tmp_path):
    path = tmp_path / "words.so"
    path.write_text("These are words.\n" * 100)
    assert_refused(nginx, path, "cannot load plug-in.*words.so.*"
                                "(invalid ELF header|file too short)")


def test_folder(nginx, tmp_path):
    assert_refused(nginx, tmp_path,
                   "cannot load plug-in.*cannot read file data")


def test_library_that_lacks_a_function(nginx):
    path = plugin_builder.build_source(
        "void absent(void); void call(void); void call(void) { absent(); }")
    assert_refused(nginx, path,
                   "cannot load plug-in.*undefined symbol: absent")


def test_missing_symbol(nginx):
    path = plugin_builder.build_source(NOT_MARKED)
    assert_refused(nginx, path, 'no symbol "websocket_plugin"')


def test_entry_that_returns_null(nginx):
    assert_refused(nginx, library(result="(void)plugin, (void *)0"),
                   "websocket_plugin\\(\\) returned NULL")


@pytest.mark.parametrize("version", [0, 2, 4000000000])
def test_wrong_version_names_both(nginx, version):
    assert_refused(nginx, library(version=f"{version}u"),
                   rf"version {version}\b.*this module has version 1")


def test_handler_of_another_version(nginx):
    assert_refused(nginx, library(first='"first", .version = 2'),
                   r"version 2\b.*this module has version 1")


def test_handler_with_more_callbacks_than_known(nginx):
    """A missing function fails the check; it is not silently left out."""
    assert_refused(
        nginx, library(first='"first", .size = '
                       'sizeof(websocket_handler_t) + sizeof(void *)'),
        r"newer plug-in interface: its websocket_handler_t has (\d+) bytes, "
        r"this module knows \d+")


@pytest.mark.parametrize("size, error", [
    ("sizeof(websocket_plugin_t) + 8", "its websocket_plugin_t has 40 bytes, "
     "this module knows 32"),
    ("16", "its websocket_plugin_t has 16 bytes, less than the required 32"),
])
def test_list_of_handlers_of_another_size(nginx, size, error):
    assert_refused(nginx, library(size=size), error)


def test_message_is_read_as_far_as_its_size(nginx):
    """Each lies before a page that cannot be read."""
    server = nginx("location /m { websocket sized; }", **loading(
        plugin_builder.build_file("sized_messages.c")))
    client = server.connect("/m")
    for asked, result in [("0 0", 0), ("-8 0", 0), ("-16 0", 4), ("-64 0", 4),
                          ("8 0", 0), ("8 1", 4), ("64 1", 4), ("64 0", 0)]:
        client.text(asked)
        if result == 0:
            client.expect_text(f"published {asked}")
            client.expect_text("")
        client.expect_text(f"publish {result}, publish_then {result}")
    client.leave()


def test_empty_list_of_handlers(nginx):
    assert_refused(nginx, library(count=0), "no handlers")


@pytest.mark.parametrize("broken", [
    "(char *)0", '""', '"two words"', '"a;b"',
    '"first", .resource_created = 0', '"first", .client_created = 0',
    '"first", .size = 0',
])
def test_handler_without_what_it_needs(nginx, broken):
    assert_refused(nginx, library(first=broken, second=broken, count=2),
                   "a handler needs a name .*resource_created")


def test_same_name_twice_in_one_library(nginx):
    assert_refused(nginx, library(second='"first"', count=2),
                   'handler name "first" is already in use')


def test_same_name_in_two_libraries(nginx):
    passed, output = nginx.check(ECHO, **loading(library(), library("2")))
    assert not passed
    assert 'handler name "first" is already in use' in output


def test_name_of_a_handler_of_the_module(nginx):
    assert_refused(nginx, library(first='"echo"'),
                   'handler name "echo" is already in use')


def test_unknown_handler_lists_the_known_ones(nginx):
    assert_refused(nginx, library(count=2),
                   'unknown handler "third".*available: echo, .*first, second',
                   locations="location / { websocket third; }")


@pytest.mark.parametrize("options", [
    {"main": "websocket_plugin a.so;"}, {"server": "websocket_plugin a.so;"},
    {"locations": "location / { websocket_plugin a.so; }"},
])
def test_directive_outside_of_http(nginx, options):
    passed, output = nginx.check(**options)
    assert not passed
    assert '"websocket_plugin" directive is not allowed here' in output


@pytest.mark.parametrize("line", ["websocket_plugin;",
                                  "websocket_plugin a.so b.so;"])
def test_directive_takes_one_file(nginx, line):
    passed, output = nginx.check(http=line)
    assert not passed
    assert 'invalid number of arguments in "websocket_plugin"' in output


# Parameters

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
static const websocket_handler_t checking = HANDLER("checking", .%(name)s = check);
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


# Reload

def install(text, place):
    """Replaces a library as `install` and `mv` do."""
    shutil.copy(plugin_builder.build_source(text), f"{place}.new")
    os.rename(f"{place}.new", place)


def mapped(pid, place):
    """The mappings of any copy of a library in a process."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        return {line.split(maxsplit=5)[5].strip() for line in file
                if os.path.basename(place) in line}


@pytest.fixture
def place(tmp_path):
    path = os.path.join(os.path.realpath(tmp_path), "changing.so")
    install(source("one"), path)
    return path


def serving(nginx, place):
    return nginx("location /first { websocket first;"
                 " websocket_close_timeout 60s; }", **loading(place))


def test_changed_library_runs_after_a_reload(nginx, place):
    server = serving(nginx, place)
    staying = server.connect("/first")
    assert answer_of(server) == "one"
    install(source("two"), place)
    assert answer_of(server) == "one"
    old = server.reload()
    assert answer_of(server) == "two"
    staying.expect_close(1001)
    assert mapped(old[0], place) == {f"{place} (deleted)"}
    staying.close(1001)
    staying.expect_eof()
    staying.disconnect()
    server.wait_for_workers_gone(old)
    wait_until(lambda: mapped(server.pid, place) == {place}, seconds(5),
               "the old copy's end")
    for pid in server.worker_pids():
        assert mapped(pid, place) == {place}


def test_library_changes_again_and_again(nginx, place):
    server = serving(nginx, place)
    for turn in range(5):
        install(source(f"turn {turn}"), place)
        old = server.reload()
        assert answer_of(server) == f"turn {turn}"
        server.wait_for_workers_gone(old)
        wait_until(lambda: mapped(server.pid, place) == {place}, seconds(5),
                   "one copy")


def test_library_in_cpp_is_unloaded(nginx, tmp_path):
    path = os.path.join(os.path.realpath(tmp_path), "greeter.so")
    shutil.copy(plugin_builder.build_file("greeter.cpp"), path)
    server = nginx("location /greet { websocket greeter; }", **loading(path))
    shutil.copy(path, path + ".new")
    os.rename(path + ".new", path)
    server.connect("/greet").expect_text("welcome")
    server.release_clients()
    old = server.reload()
    server.connect("/greet").expect_text("welcome")
    server.wait_for_workers_gone(old)
    wait_until(lambda: mapped(server.pid, path) == {path}, seconds(5),
               "the old copy's end")


def test_reload_without_a_change_keeps_one_copy(nginx, place):
    server = serving(nginx, place)
    server.wait_for_workers_gone(server.reload())
    assert answer_of(server) == "one"
    assert mapped(server.pid, place) == {place}


@pytest.mark.parametrize("broken", [
    source(version="9"), source(result="(void)plugin, (void *)0"), NOT_MARKED,
], ids=["version", "null", "symbol"])
def test_reload_with_a_broken_library_changes_nothing(nginx, place, broken):
    server = serving(nginx, place)
    server.allow_errors(r"\[emerg\].*cannot load plug-in .*changing.so")
    client = server.connect("/first")
    workers = server.worker_pids()
    install(broken, place)
    server.send_signal(signal.SIGHUP)
    server.wait_for_log(r"\[emerg\].*changing.so")
    client.text("?")
    client.expect_text("one")
    assert server.worker_pids() == workers
    install(source("two"), place)
    server.reload()
    assert answer_of(server) == "two"


def test_handler_that_is_not_named_any_more_is_unloaded(nginx, place):
    server = serving(nginx, place)
    path = os.path.join(server.prefix, "nginx.conf")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(f"websocket_plugin {place};", "")
                   .replace("websocket first;", "websocket echo;"))
    server.wait_for_workers_gone(server.reload())
    assert answer_of(server) == "?"
    assert mapped(server.pid, place) == set()
