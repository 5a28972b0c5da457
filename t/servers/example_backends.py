"""Starts the backends of the examples with examples/run.sh, as `make run`
does."""

import os
import socket
import subprocess

from nginx_server import ROOT, die_with_parent, seconds, wait_until

RUN = os.path.join(ROOT, "examples", "run.sh")


def accepts(address):
    """Whether a server accepts connections there: (host, port) or a path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


class ExampleBackends:
    """The backends, with a program that does nothing instead of nginx."""

    def __init__(self, folder, python_port, team_port):
        php = os.path.join(folder, "backends", "php-fpm.sock")
        self.process = subprocess.Popen(
            [RUN, folder, "sleep", "infinity"], stdin=subprocess.DEVNULL,
            env={**os.environ, "HTTP_PYTHON_PORT": str(python_port),
                 "TEAM_PORT": str(team_port)},
            preexec_fn=die_with_parent)
        wait_until(lambda: all(map(accepts, [
            ("127.0.0.1", python_port), ("127.0.0.1", team_port), php])),
            seconds(15), "the backends of the examples")

    def end(self):
        self.process.terminate()
        self.process.wait(seconds(10))
