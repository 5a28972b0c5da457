"""examples/run.sh runs nginx with the backends of the examples, and leaves
nothing behind."""

import os
import shutil
import signal
import subprocess
import tempfile

import pytest

from browser import ExampleConfig
from example_backends import RUN
from nginx_server import (NGINX, die_with_parent, nginx_environment, seconds,
                          wait_until, write_config)
from raw_client import RawClient
import wire


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def lives(pid):
    """Whether a process has not ended. Nobody may wait for it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def prepare():
    """A shell cannot trap signals that were ignored when it was started, as
    nohup and background jobs of scripts do."""
    die_with_parent()
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


class Run:
    """One run of the script, in a process group of its own, as a shell starts
    it."""

    def __init__(self, prefix, **variables):
        config, ports, _ = write_config(prefix, ExampleConfig(prefix))
        self.prefix = prefix
        self.port = ports[1]
        self.stderr = os.path.join(prefix, "stderr")
        # The variables of a sanitizer are for nginx alone.
        own = [f"{name}={value}" for name, value in
               nginx_environment(prefix).items()
               if os.environ.get(name) != value]
        with open(self.stderr, "wb") as stderr:
            self.process = subprocess.Popen(
                [RUN, prefix, "env", *own, NGINX, "-p", prefix, "-c", config],
                env={**os.environ, **variables,
                     "HTTP_PYTHON_PORT": str(ports[3]),
                     "TEAM_PORT": str(ports[4])},
                stderr=stderr, stdin=subprocess.DEVNULL, process_group=0,
                preexec_fn=prepare)
        self.nginx = wait_until(lambda: self.nginx_pid(prefix), seconds(15),
                                "the start of nginx")
        self.workers = wait_until(lambda: children(self.nginx), seconds(15),
                                  "the workers")
        self.python, self.team, *self.php = [
            pid for pid in children(self.process.pid) if pid != self.nginx]

    @staticmethod
    def nginx_pid(prefix):
        try:
            with open(os.path.join(prefix, "nginx.pid"),
                      encoding="ascii") as file:
                return int(file.read() or 0)
        except FileNotFoundError:
            return None

    def connects(self, path):
        """Connects when the backend answers."""
        def accepted():
            client = RawClient(("127.0.0.1", self.port))
            client.send(wire.upgrade_request(path))
            status = client.read_response().status
            client.disconnect()
            return status == 101
        wait_until(accepted, seconds(15), f"{path}: 101")

    def everything(self):
        return [self.python, self.team, *self.php, self.nginx, *self.workers]

    def wait_for_end(self, pids):
        wait_until(lambda: not any(map(lives, pids)), seconds(10),
                   f"the end of {pids}")

    def read_stderr(self):
        with open(self.stderr, encoding="utf-8") as file:
            return file.read()


@pytest.fixture
def start():
    """Starts a run. At the end nothing of it is left."""
    started = []

    def start(**variables):
        # The paths of a test are too long for a socket
        prefix = tempfile.mkdtemp(prefix="run-")
        started.append(Run(prefix, **variables))
        return started[-1]

    yield start
    for run in started:
        for pid in filter(lives, [run.python, run.team, *run.php, run.nginx]):
            os.kill(pid, signal.SIGTERM)
        run.wait_for_end(run.everything())
        run.process.kill()
        run.process.wait()
        shutil.rmtree(run.prefix)


def interrupt(run):
    """Ctrl-C reaches the whole group."""
    os.killpg(run.process.pid, signal.SIGINT)


def close_terminal(run):
    os.killpg(run.process.pid, signal.SIGHUP)


def terminate(run):
    run.process.terminate()


def quit_nginx(run):
    os.kill(run.nginx, signal.SIGQUIT)


@pytest.mark.parametrize("end", [interrupt, close_terminal, terminate,
                                 quit_nginx])
def test_nothing_is_left_when_it_ends(start, end):
    run = start()
    run.connects("/http-python/live")
    run.connects("/http-php/live")
    end(run)
    assert run.process.wait(seconds(15)) == 0
    run.wait_for_end(run.everything())


def test_backends_end_with_a_killed_script(start):
    run = start()
    run.connects("/http-python/live")
    run.connects("/http-php/live")
    run.process.kill()
    run.wait_for_end([run.python, run.team, *run.php])


def test_backends_end_with_a_failed_nginx(start):
    run = start()
    os.kill(run.nginx, signal.SIGKILL)
    for pid in run.workers:
        os.kill(pid, signal.SIGKILL)
    assert run.process.wait(seconds(15)) != 0
    run.wait_for_end(run.everything())


def test_other_examples_run_without_php(start):
    run = start(PHP_FPM="")
    assert not run.php
    run.connects("/http-python/live")
    run.connects("/echo")
    assert "php-fpm is not installed" in run.read_stderr()
    terminate(run)
    assert run.process.wait(seconds(15)) == 0
    run.wait_for_end(run.everything())
