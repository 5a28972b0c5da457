"""A new version of the module. Upgrades load it, reloads do not."""

import os
import signal
import subprocess

import pytest

import wire
from daemon_server import PRELOADED
from nginx_server import ROOT, module_file

OLD = b"the method is not GET\0"
NEW = b"the new module speaks\0"
POSTINST = os.path.join(ROOT, "src", "debian",
                        "libnginx-mod-http-websocket.postinst")
REPLACED = "has been replaced, but a reload keeps the loaded module"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The path of a copy of the module for one test."""
    path = tmp_path / "module.so"
    with open(module_file(), "rb") as file:
        path.write_bytes(file.read())
    monkeypatch.setenv("WEBSOCKET_MODULE", str(path))
    return path


def replace(path):
    """Replaces the module's file with a module of another version."""
    content = path.read_bytes()
    assert content.count(OLD) == 1 and len(OLD) == len(NEW)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content.replace(OLD, NEW))
    os.rename(fresh, path)


def version_line(server):
    """The reason with which the module refuses a POST."""
    mark = server.log_size()
    server.request(wire.upgrade_request(method="POST"))
    line = server.wait_for_log("handshake refused", since=mark)
    return next((text for text in (OLD, NEW)
                 if text[:-1].decode() in line), None)


def test_reload_keeps_the_loaded_module_and_logs_it(nginx, module):
    server = nginx()
    assert version_line(server) == OLD
    server.wait_for_workers_gone(server.reload())
    assert REPLACED not in server.log()
    replace(module)
    server.wait_for_workers_gone(server.reload())
    server.wait_for_log(rf'\[warn\].*"{module}" {REPLACED}')
    assert version_line(server) == OLD


def test_upgrade_of_the_program_loads_the_new_module(nginx_daemon, module):
    server = nginx_daemon(main=PRELOADED)
    assert version_line(server) == OLD
    replace(module)
    with server.upgraded():
        server.send_signal(signal.SIGQUIT)
        server.wait_for_exit()
        assert version_line(server) == NEW
    assert REPLACED not in server.log()


class Machine:
    """Replaces the commands of a Debian machine that the package's script runs.
    Each command records its arguments, and fails if it is in `failing`."""

    def __init__(self, folder):
        self.folder = folder
        for name in "invoke-rc.d", "nginx":
            path = folder / name
            path.write_text(
                '#!/bin/sh\n'
                f'echo "{name} $*" >> {folder}/calls\n'
                f'grep -qxF -e "{name} $*" {folder}/failing && exit 1\n'
                'exit 0\n')
            path.chmod(0o755)
        self.oldbin = folder / "nginx.pid.oldbin"
        self.script = folder / "postinst"
        with open(POSTINST, encoding="utf-8") as file:
            self.script.write_text(
                file.read().replace("/run/nginx.pid.oldbin", str(self.oldbin)))

    def run(self, *arguments, failing=()):
        """Runs the script; returns its commands and its output."""
        (self.folder / "calls").write_text("")
        (self.folder / "failing").write_text("\n".join(failing) + "\n")
        done = subprocess.run(
            ["/bin/sh", self.script, *arguments], text=True, check=True,
            env={"PATH": f"{self.folder}:/usr/bin:/bin"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return (self.folder / "calls").read_text().splitlines(), done.stdout


STATUS = "invoke-rc.d --quiet nginx status"
TEST = "nginx -t -q"
UPGRADE = "invoke-rc.d nginx upgrade"
RESTART = "invoke-rc.d nginx restart"


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_package_upgrades_an_nginx_that_runs(machine):
    assert machine.run("configure", "0.1") == ([STATUS, TEST, UPGRADE], "")


def test_package_restarts_an_nginx_that_cannot_be_upgraded(machine):
    assert machine.run("configure", "0.1", failing=[UPGRADE]) == (
        [STATUS, TEST, UPGRADE, RESTART], "")


def test_package_restarts_an_nginx_that_ignores_an_upgrade(machine):
    """The master before the last upgrade still serves clients."""
    machine.oldbin.write_text("1")
    assert machine.run("configure", "0.1") == ([STATUS, TEST, RESTART], "")


def test_package_prints_the_remaining_steps(machine):
    calls, output = machine.run("configure", "0.1", failing=[UPGRADE, RESTART])
    assert calls == [STATUS, TEST, UPGRADE, RESTART]
    assert "restart it" in output


def test_package_leaves_an_nginx_alone_whose_configuration_fails(machine):
    calls, output = machine.run("configure", "0.1", failing=[TEST])
    assert calls == [STATUS, TEST]
    assert "restart it" in output


@pytest.mark.parametrize("failing", [[STATUS], []])
def test_package_starts_nothing(machine, failing):
    """nginx does not run, policy-rc.d forbids the question, the package is new,
    or an upgrade is cancelled."""
    if failing:
        assert machine.run("configure", "0.1", failing=failing) == (
            [STATUS], "")
    else:
        assert machine.run("configure", "") == ([], "")
        assert machine.run("abort-upgrade", "0.1") == ([], "")
