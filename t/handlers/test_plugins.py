"""websocket_plugin: libraries that nginx loads, and errors about others."""

import os

import pytest

import plugin_builder
from plugin_library import (ECHO, NOT_MARKED, answer_of, assert_refused,
                            library, loading)


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
    path = plugin_builder.build_file("minimal.cpp")
    server = nginx("location /greet { websocket minimal; }", **loading(path))
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


# Libraries that cannot be loaded

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


@pytest.mark.parametrize("size", [100, 1000, 4096, 8192, 12288])
def test_file_that_is_being_copied(nginx, tmp_path, size):
    """The end of its last segment is missing."""
    path = tmp_path / "half.so"
    with open(library(), "rb") as file:
        path.write_bytes(file.read(size))
    assert_refused(nginx, path, "cannot load plug-in.*half.so.*"
                                "(incomplete|file too short)")


@pytest.mark.parametrize("size", [64, 100, 1000, 4096, 8192])
def test_file_whose_end_is_not_written(nginx, tmp_path, size):
    """As after a crash of the machine, or with a copy that reserves space."""
    path = tmp_path / "zeros.so"
    with open(library(), "rb") as file:
        path.write_bytes(file.read()[:-size] + bytes(size))
    assert_refused(nginx, path, "cannot load plug-in.*zeros.so.*incomplete")


def test_library_that_ends_the_process(nginx):
    path = plugin_builder.build_source(
        "void end(void); __attribute__((constructor)) void end(void)"
        " { __builtin_trap(); }")
    assert_refused(nginx, path, "loading it ends the process by signal 4")


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
    """The unknown function fails the check; it is not ignored."""
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
    """Each message structure ends before a page without access."""
    server = nginx("location /m { websocket sized; }", **loading(
        plugin_builder.build_file("sized_messages.c")))
    client = server.connect("/m")
    for asked, result in [("0 0", 0), ("-8 0", 0), ("-32 0", 0), ("-40 0", 4),
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
