"""Counts nginx's instructions for a message with callgrind.

Each result is the difference between two runs of different length, so start and
end do not count. nginx runs without a master. Instructions of the kernel are
not counted. The results are compared with those in instructions.json, which
--record writes. No result makes it fail.
"""

import argparse
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# pylint: disable=wrong-import-position,unused-import
import helper_path  # noqa: E402,F401
from nginx_server import NGINX, ROOT, NginxServer  # noqa: E402
from nginx_config import NginxConfig  # noqa: E402
from bench_servers import FOLDER, OWN_LOCATIONS, fresh_prefix  # noqa: E402
from bench import allow_all_files  # noqa: E402
from measuring import ALL_CORES, WrongReply, run_load  # noqa: E402
from tables import print_table  # noqa: E402

COMMAND = "make bench-instructions"
RECORD = os.path.join(ROOT, "t/bench/instructions.json")
RESULT = os.path.join(ROOT, "build/bench-instructions.json")
CLIENTS = 1000
SLOWNESS = "30"  # factor of the deadlines, for a server under callgrind
REPEATED = 2  # the lowest count is used, because other load can only add to it

ECHO = ["echo", "--path=/echo", "--text"]
FAN_OUT = ["fan-out", "--path=/lobby", "--text", "--size=64",
           f"--connections={CLIENTS}"]

OBJECTS = ["fan-out", "--publish-path=/room-0", "--objects", "--text",
           "--size=64", f"--connections={CLIENTS}", "--in-flight=16"]

# {name: (load, messages of the shorter and of the longer run, deliveries of a
# message)}
CASES = {
    "echo, 20 B, 1 in flight": (
        [*ECHO, "--connections=1", "--size=20"], (1000, 6000), 1),
    "echo, 20 B, 16 in flight": (
        [*ECHO, "--connections=1", "--size=20", "--in-flight=16"],
        (1600, 17600), 1),
    "echo, 16 KiB, 1 in flight": (
        [*ECHO, "--connections=1", "--size=16384"], (500, 2500), 1),
    "delivery to 1,000 clients, 1 outstanding": (
        FAN_OUT, (5, 25), CLIENTS),
    "delivery to 1,000 clients, 16 outstanding": (
        [*FAN_OUT, "--in-flight=16"], (80, 400), CLIENTS),
    "object to 1,000 clients of one room, 16 outstanding": (
        [*OBJECTS, "--path=/room-0", "--subprotocol=room.v1.json"],
        (80, 400), CLIENTS),
    "object to 1,000 clients in 50 rooms each, 16 outstanding": (
        [*OBJECTS, "--path=/rooms", "--subprotocol=rooms.v1.json",
         "--rooms=50"], (80, 400), CLIENTS),
}


def start_counted(output):
    """Starts nginx under callgrind, which writes the sum at the end."""
    os.environ["WEBSOCKET_RUNNER"] = (
        f"valgrind --tool=callgrind --callgrind-out-file={output} -q")
    os.environ["WEBSOCKET_SLOWNESS"] = SLOWNESS
    server = NginxServer(fresh_prefix("counted"), NginxConfig(
        OWN_LOCATIONS, server="access_log off;", master=False, level="warn",
        listen="backlog=4096"))
    return server


def count(load, messages):
    """The number of instructions of nginx in a whole run."""
    output = os.path.join(FOLDER, "callgrind.out")
    server = start_counted(output)
    try:
        run_load(load[0], server.port, *load[1:], f"--messages={messages}",
                 "--patience=60", cores=ALL_CORES)
    finally:
        server.stop(timeout=20)
    with open(output, encoding="utf-8", errors="replace") as file:
        found = re.search(r"^(?:totals|summary): (\d+)", file.read(), re.M)
    return int(found.group(1))


def measure(case):
    """The number of instructions of one delivery."""
    load, (few, many), parts = CASES[case]
    shorter, longer = (min(count(load, messages) for _ in range(REPEATED))
                       for messages in (few, many))
    return (longer - shorter) / (many - few) / parts


def version(command, pattern):
    """The version that a program prints."""
    done = subprocess.run(command, check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    found = re.search(pattern, done.stdout)
    return found.group(1) if found else "unknown"


def surroundings():
    """The versions and the SIMD level on which the results depend."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = file.read()
    return {"nginx": version([NGINX, "-v"], r"nginx/(\S+)"),
            "compiler": version([os.environ.get("CXX", "g++"), "--version"],
                                r"^(.*)"),
            "valgrind": version(["valgrind", "--version"], r"-(\S+)"),
            "simd": "AVX2" if re.search(r"\bavx2\b", flags) else "SSE2"}


def read_record():
    """The recorded results, or empty ones."""
    try:
        with open(RECORD, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {"instructions": {}, "surroundings": {}}


def show(found, recorded):
    """Prints the table, and the differences to the environment of the
    record."""
    rows = []
    for name, value in found["instructions"].items():
        was = recorded["instructions"].get(name)
        rows.append([name, f"{value:,.1f}", f"{was:,.1f}" if was else "-",
                     f"{100 * (value / was - 1):+.1f} %" if was else "-"])
    others = [f"{name}: {recorded['surroundings'].get(name)} then, "
              f"{value} now"
              for name, value in found["surroundings"].items()
              if recorded["surroundings"]
              and recorded["surroundings"].get(name) != value]
    print_table("Instructions of nginx, without those of the kernel",
                ["", "now", "recorded", "moved"], rows, others)


def write(file, found):
    with open(file, "w", encoding="utf-8") as output:
        json.dump(found, output, indent=1)
        output.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--record", action="store_true",
                        help="writes t/bench/instructions.json")
    options = parser.parse_args()
    allow_all_files()
    os.makedirs(FOLDER, exist_ok=True)
    found = {"command": COMMAND, "instructions": {},
             "surroundings": surroundings()}
    for name in CASES:
        found["instructions"][name] = round(measure(name), 1)
    show(found, read_record())
    write(RESULT, found)
    if options.record:
        write(RECORD, found)
        print(f"recorded in {os.path.relpath(RECORD)}")


if __name__ == "__main__":
    try:
        main()
    except (WrongReply, AssertionError) as fault:
        sys.exit(f"instructions: {fault}")
