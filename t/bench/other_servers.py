"""The measured servers other than nginx: the raw echo, and npm's ws."""

import json
import os
import select
import shutil
import socket
import subprocess

from bench_servers import FOLDER
from certificates import make_certificate
from loopback_ports import free_ports
from nginx_server import ROOT, die_with_parent, wait_until

RAW_ECHO = os.path.join(FOLDER, "raw_echo")
PACKAGE = os.path.join(ROOT, "t/bench/package.json")
WS_SERVER = os.path.join(ROOT, "t/bench/ws_server.js")
INSTALL_SECONDS = 120


class CannotHave(Exception):
    """A server cannot be installed or started here. The text gives the
    reason."""


class Process:
    """A server with one process."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            **options)
        self.port = self.tls_port = None

    def worker_pids(self):
        return [self.process.pid]

    def stop(self):
        """Stops the process, unless it has ended."""
        self.process.terminate()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()


def listens(port):
    """Whether a server accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except ConnectionRefusedError:
        return False


def start_raw(*options):
    """Starts a server that writes back the bytes it reads, or whole frames with
    the option "whole"."""
    port = free_ports(1)[0]
    server = Process([RAW_ECHO, str(port), *options])
    server.port = port
    wait_until(lambda: listens(port), 10, "raw_echo")
    return server


def install_ws():
    """Installs ws if necessary; returns its folder and its version."""
    folder = os.path.join(FOLDER, "ws")
    with open(PACKAGE, encoding="utf-8") as file:
        wanted = json.load(file)["dependencies"]["ws"]
    installed = os.path.join(folder, "node_modules/ws/package.json")
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise CannotHave(f"{program} is not installed")
    if not os.path.exists(installed) or version_of(installed) != wanted:
        os.makedirs(folder, exist_ok=True)
        shutil.copy(PACKAGE, folder)
        try:
            subprocess.run(
                ["npm", "install", "--no-package-lock", "--no-audit",
                 "--no-fund"], cwd=folder, check=True, capture_output=True,
                text=True, timeout=INSTALL_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            output = getattr(error, "stderr", None) or str(error)
            raise CannotHave(f"npm: {str(output).strip().splitlines()[-1]}") \
                from error
    return folder, version_of(installed)


def version_of(package):
    """The contents of a package.json."""
    with open(package, encoding="utf-8") as file:
        return json.load(file)["version"]


def start_ws(folder):
    """Starts ws on one thread of Node."""
    base = make_certificate(folder)
    environment = dict(os.environ, NODE_ENV="production",
                       NODE_PATH=os.path.join(folder, "node_modules"))
    server = Process(["node", WS_SERVER, base + ".key", base + ".crt"],
                     env=environment, stdout=subprocess.PIPE, text=True)
    ready, _, _ = select.select([server.process.stdout], [], [], 20)
    line = server.process.stdout.readline() if ready else ""
    if not line:
        server.process.kill()
        server.process.wait()
        raise CannotHave("ws did not start")
    ports = json.loads(line)
    server.port, server.tls_port = ports["port"], ports["tls_port"]
    return server
