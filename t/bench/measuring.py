"""Runs the load generator, pins processes, counts system calls."""

import contextlib
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import time

from nginx_server import NGINX, ROOT, die_with_parent

GENERATOR = os.path.join(ROOT, "build/bench/websocket_load")
LONGEST_RUN = 120  # seconds
CORES = sorted(os.sched_getaffinity(0))

# With separate cores, a run measures the server alone.
SERVER_CORES = {CORES[0]}
GENERATOR_CORES = {CORES[-1]}
ALL_CORES = set(CORES)


class WrongReply(Exception):
    """The generator found a reply wrong or missing."""


class CannotWatch(Exception):
    """strace is not installed, or may not attach here."""


class Load:
    """One run of the load generator, which may wait for commands."""

    def __init__(self, mode, port, *options, cores=frozenset(), servers=(),
                 wait=False):
        command = [GENERATOR, mode, f"--port={port}", *options]
        command += [f"--server={pid}" for pid in servers]
        command += ["--wait"] if wait else []

        def prepare():
            die_with_parent()
            os.sched_setaffinity(0, cores or GENERATOR_CORES)

        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=prepare)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(LONGEST_RUN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    def read(self):
        """The next line of JSON."""
        ready, _, _ = select.select([self.process.stdout], [], [],
                                    LONGEST_RUN)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.process.kill()
        raise WrongReply(self.process.stderr.read().strip() or "no result")

    def begin(self):
        """Lets a waiting run go on."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def run_load(*arguments, **options):
    """The result of one run."""
    with Load(*arguments, **options) as load:
        return load.read()


def pin(pids, cores):
    """Each process, with all of its threads, on one of the cores, in
    turn."""
    for index, pid in enumerate(pids):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread),
                                     {sorted(cores)[index % len(cores)]})


def alternate(variants, runs):
    """Runs each of {name: function} in turn, `runs` times; returns lists of
    results. Other load on the machine then affects all alike."""
    results = {name: [] for name in variants}
    for _ in range(runs):
        for name, measure in variants.items():
            results[name].append(measure())
    return results


def median(results, *keys):
    """The median of one figure, which may lie deeper."""
    def value(result):
        for key in keys:
            result = result[key]
        return result
    return statistics.median(value(result) for result in results)


def describe_machine():
    """The machine of the measurement."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file
                      if line.startswith("model name")), "unknown")
    version = subprocess.run([NGINX, "-v"], capture_output=True, text=True,
                             check=True).stderr.strip()
    return {"cpu": model, "cores": len(CORES), "kernel": os.uname().release,
            "nginx": version.partition("nginx/")[2],
            "before": state_of_machine()}


def state_of_machine():
    """The other load of the machine."""
    return {"time": time.strftime("%Y-%m-%d %H:%M:%S"),
            "load_average": os.getloadavg()}


def wait_for_words(process, words, count):
    """Waits until a process has printed a text so often."""
    output = b""
    while output.count(words) < count:
        ready, _, _ = select.select([process.stderr], [], [], 10)
        piece = os.read(process.stderr.fileno(), 4096) if ready else b""
        if not piece:
            raise CannotWatch(output.decode(errors="replace").strip())
        output += piece


def parse_summary(text):
    """Calls by name, from what strace -c writes."""
    calls = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            calls[words[-1]] = int(words[3])
    return calls


def count_calls(pids, file, *arguments, **options):
    """Calls that the processes make during a run, without its handshakes;
    and the run's result."""
    if not shutil.which("strace"):
        raise CannotWatch("strace is not installed")
    with Load(*arguments, wait=True, **options) as load:
        load.read()
        command = ["strace", "-c", "-o", file]
        for pid in pids:
            command += ["-p", str(pid)]
        strace = subprocess.Popen(command, stderr=subprocess.PIPE,
                                  preexec_fn=die_with_parent)
        try:
            wait_for_words(strace, b"attached", len(pids))
            load.begin()
            result = load.read()
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(10)
            strace.stderr.close()
    with open(file, encoding="ascii", errors="replace") as summary:
        return parse_summary(summary.read()), result
