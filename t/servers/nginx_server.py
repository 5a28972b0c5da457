"""Starts, watches and stops a real nginx, and checks its logs."""

import contextlib
import ctypes
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import time

import wire
from certificates import make_certificate
from loopback_ports import free_ports
from raw_client import RawClient, deadline_scale

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
NGINX = os.environ.get("WEBSOCKET_NGINX", "/usr/sbin/nginx")
POLL_SECONDS = 0.002
START_ATTEMPTS = 5

FAULT = re.compile(r"^\S+ \S+ \[(alert|crit|emerg|error)\]|exited on signal"
                   r"|Sanitizer|runtime error:|open socket #\d+ left"
                   r"|core dumped")
# Reports of a sanitizer or valgrind.
TOOL_REPORT = re.compile(r"Sanitizer|runtime error:"
                         r"|Invalid (read|write|free)|uninitialised value"
                         r"|definitely lost(: [1-9]| in loss)")
NGINX_OWN_LEAK = "ngx_set_environment"
ADDRESS_IN_USE = "Address already in use"


def module_file(variable="WEBSOCKET_MODULE", folder="build"):
    """The file of the module under test. A test fails if it is missing."""
    path = os.path.join(ROOT, os.environ.get(
        variable, f"{folder}/ngx_http_websocket_module.so"))
    assert os.path.exists(path), f"{path} is not built"
    return path


def faulty_module_file():
    """The same module with fault points."""
    return module_file("WEBSOCKET_FAULTY_MODULE", "build/faults")


def seconds(nominal):
    """A deadline, longer by WEBSOCKET_SLOWNESS if the server runs slowly."""
    return nominal * deadline_scale()


def wait_until(condition, timeout, what):
    """Polls until the condition holds; returns its result."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"{what}: not in {timeout} s"
        time.sleep(POLL_SECONDS)


def die_with_parent():
    """Lets the kernel stop nginx when the test run is killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def nginx_environment(prefix):
    """The environment of nginx. LD_PRELOAD is set for nginx alone."""
    environment = dict(os.environ)
    preload = os.environ.get("WEBSOCKET_PRELOAD")
    if preload:
        environment["LD_PRELOAD"] = preload
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            options = environment.get(name, "")
            if "log_path" not in options:
                environment[name] = ":".join(
                    filter(None, [options, f"log_path={prefix}/sanitizer"]))
    return environment


def write_config(prefix, config):
    """Prepares a prefix; returns (file, ports, token)."""
    os.makedirs(prefix, exist_ok=True)
    ports, token = free_ports(config.ports_needed()), secrets.token_hex(8)
    certificate = make_certificate(prefix) if config.tls else None
    module = module_file() if config.module else None
    path = os.path.join(prefix, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(config.text(prefix, module, token, ports, certificate))
    return path, ports, token


def check_config(prefix, config):
    """Runs nginx -t; returns (passed, its output)."""
    path, _, _ = write_config(prefix, config)
    done = subprocess.run(
        [NGINX, "-t", "-p", prefix, "-c", path], text=True, check=False,
        env=nginx_environment(prefix), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=seconds(30))
    return done.returncode == 0, done.stdout


class NginxServer:
    """One running nginx with its own folder, ports and logs."""

    def __init__(self, prefix, config):
        self.prefix = str(prefix)
        self.config = config
        self.error_log = os.path.join(self.prefix, "error.log")
        self.clients = []
        self.allowed = []
        self.error_mark = self.access_mark = self.checked_until = 0
        self.stopped = self.worker_lost = False
        self.leaving = set()
        for _ in range(START_ATTEMPTS):
            if self._start():
                return
        raise AssertionError("no free port in several attempts")

    # Starting and stopping

    def _start(self):
        """Starts nginx; returns False if another process took the port
        first."""
        _, ports, self.token = write_config(self.prefix, self.config)
        self.control_port, self.port, self.tls_port, *self.ports = ports
        self._run()
        if self.process.poll() is None:
            return True
        output = self.read("stderr") + self.read("error.log")
        assert ADDRESS_IN_USE in output, f"nginx did not start:\n{output}"
        os.unlink(self.error_log)
        return False

    def _run(self):
        """Runs nginx until it is ready, or ends."""
        path = os.path.join(self.prefix, "nginx.conf")
        begin = self.size("error.log")
        runner = shlex.split(os.environ.get("WEBSOCKET_RUNNER", ""))
        with open(os.path.join(self.prefix, "stderr"), "wb") as stderr:
            self.process = subprocess.Popen(
                runner + [NGINX, "-p", self.prefix, "-c", path],
                env=nginx_environment(self.prefix), stdout=stderr,
                stderr=stderr, stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent)
        self.pid = self.process.pid
        wait_until(lambda: (self.process.poll() is not None
                            or self.ready() and self.has_logged_start(begin)),
                   seconds(15), "nginx start")

    def has_logged_start(self, begin):
        """Whether the master has logged all workers. It may do so after a
        worker has accepted its first connection."""
        logs = self.config.level in ("notice", "info", "debug")
        expected = self.config.workers if logs else 0
        return (self.config.master is False
                or self.log(begin).count("start worker process ") >= expected)

    def start_again(self):
        """Starts a killed nginx on the same ports, with the same logs."""
        assert self.process.poll() is not None
        self._run()
        assert self.process.poll() is None, self.read("stderr")

    def ready(self):
        """Whether all workers run and at least one accepts connections."""
        started = len(self.worker_pids())
        wanted = 1 if self.config.master is False else self.config.workers
        return started >= wanted and self.serving_pid() is not None

    def serving_pid(self):
        """The pid of a worker that answers now, or None."""
        try:
            answer = self.control("/token")
        except (OSError, AssertionError):
            return None
        token, _, pid = answer.partition(" ")
        return int(pid) if token == self.token else None

    def control(self, path):
        """The body of a GET on the control port."""
        client = RawClient(("127.0.0.1", self.control_port))
        try:
            client.send(f"GET {path} HTTP/1.1\r\nHost: c\r\n\r\n".encode())
            return client.read_response().body.decode()
        finally:
            client.disconnect()

    def send_signal(self, number, pid=None):
        """Signals the master, or one worker."""
        os.kill(pid or self.pid, number)

    def stop(self, number=signal.SIGQUIT, timeout=10):
        """Stops nginx, by default gracefully, and checks its logs."""
        if self.stopped:
            return
        self.stopped = True
        try:
            self.release_clients()
            if self.process.poll() is None:
                self.send_signal(number)
            self.wait_for_exit(timeout)
        finally:
            if self.process.poll() is None:
                self.kill()
        self.assert_clean_logs()

    def wait_for_exit(self, timeout=10):
        """Waits for the master's end; its status must be 0."""
        try:
            status = self.process.wait(seconds(timeout))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"nginx did not end within {timeout} s") from None
        assert status == 0, f"nginx ended with status {status}"
        self.stopped = True

    def kill(self):
        """Kills the master and each worker by SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGSTOP)  # starts no other worker
        for pid in self.worker_pids() + [self.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(seconds(10))

    def reload(self, timeout=10):
        """Sends HUP and waits until only new workers accept connections. Old
        workers may still serve their clients: see `wait_for_workers_gone`."""
        old, mark = self.worker_pids(), self.log_size()
        self.send_signal(signal.SIGHUP)
        wait_until(lambda: len(set(self.worker_pids()) - set(old))
                   >= self.config.workers, seconds(timeout), "new workers")
        for pid in set(old) - self.leaving:
            self.wait_for_log(rf"{pid}#\d+: gracefully shutting down",
                              timeout, since=mark)
        self.leaving.update(old)
        return old

    def rewrite_config(self, old, new):
        """Replaces text in the configuration; a reload reads it."""
        path = os.path.join(self.prefix, "nginx.conf")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert old in text, f"{old!r} is not in the configuration"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    def wait_for_workers_gone(self, pids, timeout=10):
        """Waits until none of these workers is left."""
        wait_until(lambda: not set(pids) & set(self.worker_pids()),
                   seconds(timeout), f"the end of workers {pids}")

    def worker_pids(self):
        """The workers of all generations. Without a master, the only
        process."""
        if not self.config.master:
            return [self.pid]
        path = f"/proc/{self.pid}/task/{self.pid}/children"
        try:
            with open(path, encoding="ascii") as file:
                return [int(pid) for pid in file.read().split()]
        except FileNotFoundError:
            return []

    def active_connections(self):
        """The number of nginx's connections, without that of this request."""
        return int(re.search(r"Active connections: (\d+)",
                             self.control("/active")).group(1)) - 1

    # Clients

    def open(self, tls=False, port=None):
        """A connected RawClient that has sent nothing."""
        chosen = port or (self.tls_port if tls else self.port)
        client = RawClient(("127.0.0.1", chosen), tls)
        self.clients.append(client)
        return client

    def connect(self, path="/echo", *, subprotocols=(), tls=False,
                port=None, client=None, pipelined=b"", **fields):
        """A RawClient after a handshake that must succeed.

        client: a connection that is open already. fields: those of
        wire.upgrade_request. pipelined: bytes sent in one packet with the
        handshake.
        """
        if subprotocols:
            fields["protocol"] = ", ".join(subprotocols)
        client = client or self.open(tls, port)
        client.send(wire.upgrade_request(path, **fields) + pipelined)
        client.response = client.read_response()
        assert client.response.status == 101, repr(client.response)
        return client

    def request(self, data, cut=None, tls=False, port=None):
        """Sends raw bytes on a new connection; returns the response."""
        client = self.open(tls, port)
        client.send(data, cut)
        response = client.read_response(bodiless=data.startswith(b"HEAD "))
        client.disconnect()
        self.clients.remove(client)
        return response

    def has_lost_worker(self):
        """Whether a worker was killed. nginx still counts its connections. The
        master may log the death after the end of the test."""
        self.worker_lost |= "exited on signal" in self.log()
        return self.worker_lost

    def release_clients(self, timeout=5):
        """Disconnects this server's clients and waits until nginx has closed
        each connection. A session that remains fails the test."""
        for client in self.clients:
            client.disconnect()
        self.clients.clear()
        if self.has_lost_worker():
            return
        if self.process.poll() is None and self.serving_pid():
            wait_until(lambda: self.active_connections() == 0
                       or self.has_lost_worker(),
                       seconds(timeout), "the end of all connections")

    # Logs

    def begin_test(self):
        """Makes the log readers start at the current end of the logs."""
        self.error_mark = self.log_size()
        self.access_mark = self.size("access.log")

    def size(self, name):
        """The bytes of a file of the prefix, 0 if absent."""
        path = os.path.join(self.prefix, name)
        return os.path.getsize(path) if os.path.exists(path) else 0

    def read(self, name, since=0):
        """A file of the prefix from a byte on, empty if absent."""
        try:
            with open(os.path.join(self.prefix, name), "rb") as file:
                file.seek(since)
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def log_size(self):
        """The size of the error log, for `since`."""
        return self.size("error.log")

    def log(self, since=None):
        """The error log's text since the test began, or since a mark."""
        return self.read("error.log",
                         self.error_mark if since is None else since)

    def wait_for_log(self, pattern, timeout=5, since=None):
        """Waits for a matching line of the error log; returns the line."""
        wanted = re.compile(f"^.*(?:{pattern}).*$", re.MULTILINE)
        return wait_until(lambda: wanted.search(self.log(since)),
                          seconds(timeout), f"log {pattern!r}").group(0)

    def access_log(self, **fields):
        """Finished requests since the test began, those whose fields
        have these values, as dicts of strings."""
        lines = self.read("access.log", self.access_mark).split("\n")[:-1]
        entries = (json.loads(line) for line in lines)
        return [entry for entry in entries
                if all(entry[name] == str(value)
                       for name, value in fields.items())]

    def wait_for_access_log(self, count=1, timeout=5, **fields):
        """Waits for at least `count` entries; returns the last one."""
        return wait_until(
            lambda: (lambda found: len(found) >= count and found)(
                self.access_log(**fields)),
            seconds(timeout), f"access log {fields}")[-1]

    def allow_errors(self, pattern):
        """Allows error lines that match."""
        self.allowed.append(re.compile(pattern))

    def assert_clean_logs(self):
        """Fails on faults in the log since the last check."""
        mark = self.log_size()
        faults = [line for line in self.log(self.checked_until).split("\n")
                  if FAULT.search(line)
                  and not any(one.search(line) for one in self.allowed)]
        self.checked_until = mark
        for name in sorted(os.listdir(self.prefix)):
            if name.startswith(("core", "sanitizer")):
                faults.append(f"{name}: {self.read(name)}")
        faults += tool_reports(self.read("stderr"))
        assert not faults, "nginx logged:\n" + "\n".join(faults)


def tool_reports(text):
    """The paragraphs with a report of a sanitizer or valgrind."""
    return [part for part in re.split(r"(?m)^(?:==\d+== *)?\n", text)
            if TOOL_REPORT.search(part) and NGINX_OWN_LEAK not in part]


def remove_prefix(prefix):
    """Removes the folder of a server."""
    shutil.rmtree(prefix, ignore_errors=True)
