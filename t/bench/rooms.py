"""Measures rooms: system calls, wake-ups, rooms of one client, the broker.

Prints medians as tables and writes build/bench-rooms.json. No result makes it
fail. A wrong or missing reply does, as does a server that logs an error.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# pylint: disable=wrong-import-position,unused-import
import helper_path  # noqa: E402,F401
from nginx_server import ROOT  # noqa: E402
import bench_servers  # noqa: E402
from run_tests import allow_open_files  # noqa: E402
from measuring import (ALL_CORES, CORES, SERVER_CORES,  # noqa: E402
                       CannotWatch, WrongReply, alternate, count_calls,
                       describe_machine, median, parse_run_options, pin,
                       run_load, state_of_machine)
from tables import print_table, thousands  # noqa: E402

CLIENTS = 1000
SIZE = 64
BROKER_BENCH = os.path.join(ROOT, "build/bench/broker_bench")
RESULT = os.path.join(ROOT, "build/bench-rooms.json")
FAN_OUT = [f"--connections={CLIENTS}", f"--size={SIZE}", "--text"]


class Bench:
    """The servers, and the results so far."""

    def __init__(self, options, stack):
        self.runs = options.runs
        self.time = [f"--seconds={options.seconds}",
                     f"--warm-up={options.warm_up}"]
        self.broker_time = options.broker_time
        self.found = {"machine": describe_machine(),
                      "options": vars(options)}
        self.one = self.start(stack, bench_servers.start_own, 1)
        self.two = self.start(stack, bench_servers.start_own, 2)

    def start(self, stack, start, *arguments):
        """Starts a server with its workers on the server's core."""
        server = start(*arguments)
        stack.callback(server.stop)
        pin(server.worker_pids(), SERVER_CORES)
        return server

    def load(self, mode, server, *options, **more):
        """Returns a function that runs the generator once against a server."""
        def measure():
            return run_load(mode, server.port, *options, *self.time,
                            servers=server.worker_pids(), **more)
        return measure

    def keep(self, section, results):
        """Adds the results of all runs to the object that is written at the
        end."""
        self.found.setdefault(section, {}).update(results)


def measure_calls(bench):
    """Counts system calls for a published message."""
    rows = []
    for name, server in (("1 worker", bench.one), ("2 workers", bench.two)):
        for outstanding, messages in ((1, 50), (16, 160)):
            calls, _ = count_calls(
                server.worker_pids(),
                os.path.join(bench_servers.FOLDER, "strace"), "fan-out",
                server.port, "--path=/lobby", f"--in-flight={outstanding}",
                f"--messages={messages}", *FAN_OUT)
            bench.keep("calls", {f"{name}, {outstanding} outstanding": {
                "messages": messages, "clients": CLIENTS, "calls": calls}})
            sends = sum(calls.get(call, 0)
                        for call in ("sendto", "writev", "sendmsg"))
            rows.append([
                name, outstanding, f"{sends / messages / CLIENTS:.3f}",
                *(f"{calls.get(call, 0) / messages:.3f}" for call in (
                    "recvfrom", "epoll_wait", "futex", "write", "read"))])
    print_table(f"System calls of a published message, {CLIENTS:,} clients "
                "(strace -c)",
                ["", "outstanding", "sends per client", "recv", "epoll_wait",
                 "futex", "eventfd write", "eventfd read"], rows)


def measure_wake_ups(bench):
    """Measures the time from publishing to the delivery to one subscriber."""
    workers = ("same-worker", "other-worker")
    paths = ["--path=/quiet", "--publish-path=/quiet", "--connections=1",
             f"--size={SIZE}", "--text"]
    rows = []
    for name, cores, more in (
            ("workers share a core, client polls", SERVER_CORES,
             {"options": ["--spin"], "cores": None}),
            ("workers on a core each, client sleeps", ALL_CORES,
             {"options": [], "cores": ALL_CORES})):
        pin(bench.two.worker_pids(), cores)
        results = alternate({
            worker: bench.load("fan-out", bench.two, *paths,
                              f"--subscribers={worker}", *more["options"],
                              cores=more["cores"])
            for worker in workers}, bench.runs)
        same, other = (median(results[worker], "latency_us", "p50")
                       for worker in workers)
        rows.append([name, f"{same:.1f}", f"{other:.1f}",
                     f"{other - same:+.1f}"])
        bench.keep("wake_up", {f"{name}, {worker}": results[worker]
                               for worker in workers})
    pin(bench.two.worker_pids(), SERVER_CORES)
    print_table("From publishing to delivery, p50, us (2 workers, one "
                "subscriber)", ["", "same worker", "other worker",
                                "difference"], rows)


def measure_alone(bench):
    """Compares rooms of one client each with an echo of the same messages."""
    paths = {"echo": "/echo", "room of one": "/alone?room={}"}
    results = alternate({
        (name, depth): bench.load(
            "echo", bench.one, f"--path={path}", f"--in-flight={depth}",
            f"--size={SIZE}", "--text")
        for name, path in paths.items() for depth in (1, 16)}, bench.runs)
    rows = []
    for (name, depth), found in sorted(results.items(),
                                       key=lambda one: one[0][1]):
        cost, echo = (1e6 / median(results[which, depth], "per_cpu_second")
                      for which in (name, "echo"))
        rows.append([name, depth, thousands(median(found, "per_cpu_second")),
                     f"{cost:.2f}", f"{cost - echo:+.2f}"])
        bench.keep("alone", {f"{name}, {depth} in flight": found})
    messages = 2000
    calls, _ = count_calls(
        bench.two.worker_pids(),
        os.path.join(bench_servers.FOLDER, "strace"), "echo",
        bench.two.port, "--path=/alone?room={}", f"--messages={messages}")
    bench.keep("alone", {"calls": calls, "calls_of_messages": messages})
    print_table(
        "Rooms of one client: 100 clients in a room each, "
        f"{SIZE} bytes", ["", "in flight", "messages per CPU s",
                          "us of CPU", "beside echo"], rows,
        [f"eventfd writes of 2 workers for {messages:,} messages: "
         f"{calls.get('write', 0)} (of {sum(calls.values()):,} calls; "
         f"{calls.get('futex', 0)} futex)"])


def broker_result(one):
    """The time of a message or a round trip in one repetition, in its unit:
    nanoseconds or microseconds."""
    if "per_message" in one:
        return one["per_message"] * 1e9
    return one["real_time" if one["time_unit"] == "us" else "cpu_time"]


def measure_broker(bench):
    """Measures the broker alone, in C++."""
    done = subprocess.run(
        [BROKER_BENCH, f"--benchmark_min_time={bench.broker_time}",
         f"--benchmark_repetitions={bench.runs}",
         "--benchmark_enable_random_interleaving=true",
         "--benchmark_format=json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=True)
    found = [one for one in json.loads(done.stdout)["benchmarks"]
             if one["run_type"] == "iteration"]
    wrong = [one["error_message"] for one in found if "error_message" in one]
    if wrong and len(CORES) > 1:
        raise WrongReply(wrong[0])
    bench.keep("broker", {"benchmarks": found})
    repetitions = {}
    for one in found:
        if "error_message" not in one:
            repetitions.setdefault((one["family_index"], one["per_family_"
                                    "instance_index"], one["run_name"],
                                    one["time_unit"]), []).append(
                                        broker_result(one))
    print_table(f"The broker by itself, {SIZE} bytes: a message appended and "
                "read, and a wake-up", ["", "median"],
                [[name.removesuffix("/real_time"),
                  f"{statistics.median(values):.{int(unit == 'us')}f} {unit}"]
                 for (_, _, name, unit), values
                 in sorted(repetitions.items())])


SECTIONS = {"calls": measure_calls, "wake-up": measure_wake_ups,
            "alone": measure_alone, "broker": measure_broker}


def parse_arguments():
    options = parse_run_options(__doc__, SECTIONS)
    options.warm_up = min(0.3, options.seconds / 3)
    options.broker_time = 0.05 if options.short else 0.3
    return options


def main():
    options = parse_arguments()
    allow_open_files()
    os.makedirs(bench_servers.FOLDER, exist_ok=True)
    with contextlib.ExitStack() as stack:
        bench = Bench(options, stack)
        for name, measure in SECTIONS.items():
            if not options.only or name in options.only:
                try:
                    measure(bench)
                except CannotWatch as error:
                    print(f"\n{name} is left out: {error}")
    bench.found["machine"]["after"] = state_of_machine()
    with open(RESULT, "w", encoding="utf-8") as file:
        json.dump(bench.found, file, indent=1)
    before, after = (", ".join(f"{load:.1f}" for load in
                               bench.found["machine"][when]["load_average"])
                     for when in ("before", "after"))
    print(f"\nload average before: {before}; after: {after}; all runs: "
          f"{os.path.relpath(RESULT)}")


if __name__ == "__main__":
    try:
        main()
    except (WrongReply, AssertionError) as fault:
        sys.exit(f"bench: {fault}")
