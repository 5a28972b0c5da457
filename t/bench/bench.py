"""Measures the module and other servers.

The sections are echo, fan-out, handshakes, memory of idle clients, and
compression. Prints medians as tables, and writes build/bench.json and
build/bench/*.svg. No result makes it fail. A wrong or missing reply of the
module does, as does an error in nginx's log.
"""

import argparse
import contextlib
import functools
import json
import os
import resource
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# pylint: disable=wrong-import-position,unused-import
import helper_path  # noqa: E402,F401
from nginx_server import ROOT  # noqa: E402
import bench_servers  # noqa: E402
import bench_tables  # noqa: E402
import charts  # noqa: E402
import other_servers  # noqa: E402
from bench_sections import SECTIONS  # noqa: E402
from measuring import (SERVER_CORES, WrongReply,  # noqa: E402
                       describe_machine, pin, run_load, state_of_machine)
from other_servers import CannotHave  # noqa: E402
from tables import print_table  # noqa: E402

RESULT = os.path.join(ROOT, "build/bench.json")
OURS, RAW = "ours", "raw"


def is_measured(name):
    """Whether wrong replies are a fault of this project."""
    return name.startswith((OURS, RAW))


class Bench:
    """The available servers, and the results so far."""

    def __init__(self, options):
        self.options = options
        self.found = {"machine": describe_machine(),
                      "options": vars(options), "left_out": [],
                      "results": []}
        self.nchan_module = self.ws_folder = None
        self.knows_release = False
        self.find_peers()

    def find_peers(self):
        """Leaves out servers that are not available, and reports them."""
        self.nchan_module, why = bench_servers.find_nchan()
        if why:
            self.leave_out("nchan", why)
        try:
            self.ws_folder, version = other_servers.install_ws()
            self.found["machine"]["ws"] = version
            self.found["machine"]["node"] = subprocess.run(
                ["node", "--version"], capture_output=True, text=True,
                check=True).stdout.strip()
        except CannotHave as error:
            self.leave_out("ws, and nginx in front of it", str(error))
        self.knows_release, why = bench_servers.knows_release()
        if not self.knows_release:
            self.leave_out("websocket_request release", why)

    def leave_out(self, what, why):
        """Prints once that a server or a case is not measured."""
        line = f"{what}: left out: {why}"
        if line not in self.found["left_out"]:
            self.found["left_out"].append(line)
            print(line, flush=True)

    @contextlib.contextmanager
    def servers(self, **starts):
        """Runs {name: function} on the server's core; yields the servers that
        could be started."""
        with contextlib.ExitStack() as stack:
            running = {}
            for name, start in starts.items():
                try:
                    server = start()
                except (CannotHave, AssertionError) as error:
                    if is_measured(name):
                        raise
                    self.leave_out(name, str(error).strip().splitlines()[-1])
                    continue
                stack.callback(self.stop, name, server)
                pin(server.worker_pids(), SERVER_CORES)
                running[name] = server
            yield running

    def stop(self, name, server):
        """Stops a server. Errors at the end of another project's server are
        only printed."""
        try:
            server.stop()
        except AssertionError as error:
            if is_measured(name):
                raise
            print(f"{name}: {error}", flush=True)

    def try_peer(self, name, call):
        """Runs the call; returns its result, or None after a wrong reply of
        another project's server."""
        try:
            return call()
        except WrongReply as error:
            if is_measured(name):
                raise
            self.leave_out(name, f"wrong: {error}")
            return None

    def load(self, mode, server, *arguments, tls=False, http2=False,
             seconds=None, **options):
        """Returns a function that runs the generator once against a server."""
        time = seconds or self.options.seconds
        port = server.tls_port if tls else \
            server.ports[0] if http2 else server.port
        times = [f"--seconds={time}", f"--warm-up={time / 4}"]

        def measure():
            return run_load(mode, port,
                            *(["--tls"] if tls else []), *arguments, *times,
                            servers=server.worker_pids(), **options)
        return measure

    def warm_up(self, servers, mode, arguments_of):
        """Makes each server do some of the measured work, because Node compiles
        while it runs. The number of messages is fixed, because the time may be
        short."""
        for name, server in list(servers.items()):
            run = functools.partial(run_load, mode, server.port,
                                    *arguments_of(name))
            if not self.try_peer(name, run):
                del servers[name]

    def alternate(self, section, cell, variants):
        """Runs each of {name: function} in turn, and keeps the results. A
        server of another project that replies wrongly is left out of this
        cell."""
        results = {name: [] for name in variants}
        wrong = {}
        for _ in range(self.options.runs):
            for name, measure in variants.items():
                if name in wrong:
                    continue
                try:
                    results[name].append(measure())
                except WrongReply as error:
                    if is_measured(name):
                        raise
                    wrong[name] = str(error)
        for name, runs in results.items():
            self.keep(section, cell, name, runs, wrong.get(name))

    def keep(self, section, cell, name, runs, wrong=None):
        """Adds results to the object that is written at the end."""
        entry = {"section": section, "cell": cell, "server": name}
        entry.update({"wrong": wrong} if wrong else {"runs": runs})
        self.found["results"].append(entry)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--short", action="store_true",
                        help="fewer cases, 3 runs of 0.3 s")
    parser.add_argument("--runs", type=int, help="the number of runs (5)")
    parser.add_argument("--seconds", type=float, help="duration of a run (1)")
    parser.add_argument("--only", choices=SECTIONS, action="append",
                        help="a section; may be given several times")
    options = parser.parse_args()
    options.runs = options.runs or (3 if options.short else 5)
    options.seconds = options.seconds or (0.3 if options.short else 1)
    return options


def allow_all_files():
    """Raises the limit of open files as far as possible."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def write(found):
    """Writes the results so far, because a later section may fail."""
    found["machine"]["after"] = state_of_machine()
    with open(RESULT, "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)


def main():
    options = parse_arguments()
    allow_all_files()
    os.makedirs(bench_servers.FOLDER, exist_ok=True)
    bench = Bench(options)
    for name, measure in SECTIONS.items():
        if not options.only or name in options.only:
            measure(bench)
            for table in bench_tables.tables_of(bench.found, name):
                print_table(*table)
            sys.stdout.flush()
            write(bench.found)
    drawn = charts.draw_all(bench.found, bench_servers.FOLDER)
    before, after = (", ".join(f"{load:.1f}" for load in
                               bench.found["machine"][when]["load_average"])
                     for when in ("before", "after"))
    print(f"\nload average before: {before}; after: {after}\nall runs: "
          f"{os.path.relpath(RESULT)}; charts: {', '.join(drawn)} in "
          f"{os.path.relpath(bench_servers.FOLDER)}/")


if __name__ == "__main__":
    try:
        main()
    except (WrongReply, AssertionError) as fault:
        sys.exit(f"bench: {fault}")
