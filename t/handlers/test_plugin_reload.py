"""Reloads with plug-ins whose libraries have changed or are broken."""

import os
import shutil
import signal

import pytest

import plugin_builder
from nginx_server import seconds, wait_until
from plugin_library import NOT_MARKED, answer_of, loading, source


def install(text, library):
    """Replaces a library as `install` and `mv` do."""
    shutil.copy(plugin_builder.build_source(text), f"{library}.new")
    os.rename(f"{library}.new", library)


def mapped(pid, library):
    """The paths of all copies of a library that a process has mapped."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        return {line.split(maxsplit=5)[5].strip() for line in file
                if os.path.basename(library) in line}


@pytest.fixture
def library(tmp_path):
    path = os.path.join(os.path.realpath(tmp_path), "changing.so")
    install(source("one"), path)
    return path


def serving(nginx, library):
    return nginx("location /first { websocket first;"
                 " websocket_close_timeout 60s; }", **loading(library))


def test_changed_library_runs_after_a_reload(nginx, library):
    server = serving(nginx, library)
    staying = server.connect("/first")
    assert answer_of(server) == "one"
    install(source("two"), library)
    assert answer_of(server) == "one"
    old = server.reload()
    assert answer_of(server) == "two"
    staying.expect_close(1001)
    assert mapped(old[0], library) == {f"{library} (deleted)"}
    staying.close(1001)
    staying.expect_eof()
    staying.disconnect()
    server.wait_for_workers_gone(old)
    wait_until(lambda: mapped(server.pid, library) == {library}, seconds(5),
               "the old copy's end")
    for pid in server.worker_pids():
        assert mapped(pid, library) == {library}


def test_library_changes_again_and_again(nginx, library):
    server = serving(nginx, library)
    for turn in range(5):
        install(source(f"turn {turn}"), library)
        old = server.reload()
        assert answer_of(server) == f"turn {turn}"
        server.wait_for_workers_gone(old)
        wait_until(lambda: mapped(server.pid, library) == {library}, seconds(5),
                   "one copy")


def test_library_in_cpp_is_unloaded(nginx, tmp_path):
    path = os.path.join(os.path.realpath(tmp_path), "minimal.so")
    shutil.copy(plugin_builder.build_file("minimal.cpp"), path)
    server = nginx("location /greet { websocket minimal; }", **loading(path))
    shutil.copy(path, path + ".new")
    os.rename(path + ".new", path)
    server.connect("/greet").expect_text("welcome")
    server.release_clients()
    old = server.reload()
    server.connect("/greet").expect_text("welcome")
    server.wait_for_workers_gone(old)
    wait_until(lambda: mapped(server.pid, path) == {path}, seconds(5),
               "the old copy's end")


def test_reload_without_a_change_keeps_one_copy(nginx, library):
    server = serving(nginx, library)
    server.wait_for_workers_gone(server.reload())
    assert answer_of(server) == "one"
    assert mapped(server.pid, library) == {library}


@pytest.mark.parametrize("broken", [
    source(version="9"), source(result="(void)plugin, (void *)0"), NOT_MARKED,
    "#include <signal.h>\n" + source(result="(raise(SIGKILL), &plugin)"),
    "#include <stdlib.h>\n" + source(result="(exit(0), &plugin)"),
], ids=["version", "null", "symbol", "signal", "exit"])
def test_reload_with_a_broken_library_changes_nothing(nginx, library, broken):
    server = serving(nginx, library)
    server.allow_errors(r"\[emerg\].*cannot load plug-in .*changing.so")
    client = server.connect("/first")
    workers = server.worker_pids()
    install(broken, library)
    server.send_signal(signal.SIGHUP)
    server.wait_for_log(r"\[emerg\].*changing.so")
    client.text("?")
    client.expect_text("one")
    assert server.worker_pids() == workers
    install(source("two"), library)
    server.reload()
    assert answer_of(server) == "two"


def test_library_that_is_written_into_does_not_end_the_master(nginx, library):
    """Its code is broken in the workers, but a file that replaces it helps."""
    server = serving(nginx, library)
    server.allow_errors("exited on signal|it was written into")
    shutil.copy(plugin_builder.build_source(source("two" * 1000)), library)
    server.send_signal(signal.SIGHUP)
    server.wait_for_log(r"\[emerg\].*changing.so.*it was written into after")
    install(source("three"), library)
    server.wait_for_workers_gone(server.reload())
    assert answer_of(server) == "three"
    wait_until(lambda: mapped(server.pid, library) >= {library}, seconds(5),
               "the new copy")


def test_library_that_is_written_again_is_kept(nginx, library):
    server = serving(nginx, library)
    with open(library, "r+b") as file:
        content = file.read()
        file.seek(0)
        file.write(content)
    os.utime(library)
    server.wait_for_workers_gone(server.reload())
    assert answer_of(server) == "one"
    assert mapped(server.pid, library) == {library}


def test_handler_that_is_not_named_any_more_is_unloaded(nginx, library):
    server = serving(nginx, library)
    path = os.path.join(server.prefix, "nginx.conf")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(f"websocket_plugin {library};", "")
                   .replace("websocket first;", "websocket echo;"))
    server.wait_for_workers_gone(server.reload())
    assert answer_of(server) == "?"
    assert mapped(server.pid, library) == set()
