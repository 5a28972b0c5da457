"""Runs the load generator, pins processes to cores, and counts system calls."""

import argparse
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

# On a core of its own, the server is measured alone.
SERVER_CORES = {CORES[0]}
GENERATOR_CORES = {CORES[-1]}
ALL_CORES = set(CORES)


class WrongReply(Exception):
    """The generator reports a wrong or missing reply."""


class CannotWatch(Exception):
    """strace is not installed, or cannot attach."""


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
        """Starts a run that waits."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def parse_run_options(document, sections=None):
    """The options of a program with this docstring. sections: the choices of
    --only."""
    parser = argparse.ArgumentParser(description=document.split("\n")[0])
    parser.add_argument("--short", action="store_true",
                        help="runs of 0.4 s instead of 1.5 s")
    parser.add_argument("--runs", type=int, default=5,
                        help="the number of runs (5)")
    parser.add_argument("--seconds", type=float)
    if sections:
        parser.add_argument("--only", choices=sections, action="append",
                            help="a section; may be given several times")
    options = parser.parse_args()
    options.seconds = options.seconds or (0.4 if options.short else 1.5)
    return options


def run_load(*arguments, **options):
    """Runs the generator once; returns its result."""
    with Load(*arguments, **options) as load:
        return load.read()


def pin(pids, cores):
    """Pins each process with all of its threads to one of the cores, in
    turn."""
    for index, pid in enumerate(pids):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread),
                                     {sorted(cores)[index % len(cores)]})


def alternate(variants, runs):
    """Runs each of {name: function} in turn, `runs` times; returns lists of
    results. So other load on the machine affects all of them."""
    results = {name: [] for name in variants}
    for _ in range(runs):
        for name, measure in variants.items():
            results[name].append(measure())
    return results


def median(results, *keys):
    """The median of one value, which may be nested."""
    def value(result):
        for key in keys:
            result = result[key]
        return result
    return statistics.median(value(result) for result in results)


def describe_machine():
    """The machine and its versions."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file
                      if line.startswith("model name")), "unknown")
    version = subprocess.run([NGINX, "-v"], capture_output=True, text=True,
                             check=True).stderr.strip()
    return {"cpu": model, "cores": len(CORES), "kernel": os.uname().release,
            "nginx": version.partition("nginx/")[2],
            "before": state_of_machine()}


def state_of_machine():
    """The time and the load average."""
    return {"time": time.strftime("%Y-%m-%d %H:%M:%S"),
            "load_average": os.getloadavg()}


def wait_for_text(process, text, count):
    """Waits until a process has printed a text `count` times."""
    output = b""
    while output.count(text) < count:
        ready, _, _ = select.select([process.stderr], [], [], 10)
        piece = os.read(process.stderr.fileno(), 4096) if ready else b""
        if not piece:
            raise CannotWatch(output.decode(errors="replace").strip())
        output += piece


def parse_summary(text):
    """{name: calls} from the output of strace -c."""
    calls = {}
    for line in text.splitlines():
        row = line.split()
        if len(row) >= 5 and row[3].isdigit() and row[-1] != "total":
            calls[row[-1]] = int(row[3])
    return calls


def count_calls(pids, file, *arguments, **options):
    """Counts the calls of the processes during a run, without its handshakes;
    returns them and the run's result."""
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
            wait_for_text(strace, b"attached", len(pids))
            load.begin()
            result = load.read()
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait(10)
            strace.stderr.close()
    with open(file, encoding="ascii", errors="replace") as summary:
        return parse_summary(summary.read()), result
