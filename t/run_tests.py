"""Runs the unit and pytest suites; the last line counts passed and failed
tests.

usage: run_tests.py OUTPUT UNIT_TESTS [pytest options]

UNIT_TESTS is the GoogleTest program, or "-" for none. It runs beside the first
pytest suite, as one shard for each processor. The option --check runs
QUICK_FILES, the files that take the least time for each test. Without options
all of t is run, with six files at a time on two processors, because most tests
mostly wait. Tests with the mark alone measure time or the use of the processor:
they run afterwards, one at a time. The counts come from the XML reports. A
suite that crashed, wrote no report or ran no test counts as one more failure.
"""

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter

PYTEST_TESTS_FAILED = 1
OPEN_FILES = 16384

UNIT_SHARDS = os.cpu_count() or 1
FILES_AT_A_TIME = 2 * (os.cpu_count() or 1) + 2
PYTEST_SUITES = {
    "pytest": ["-q", "-m", "not alone", "-n", f"{FILES_AT_A_TIME}",
               "--dist", "loadfile", "t"],
    "pytest-alone": ["-q", "-m", "alone", "t"],
}
QUICK_FILES = [
    "handlers/test_keys.py", "nginx/test_directives.py",
    "nginx/test_log_text.py", "nginx/test_variables.py",
    "project/test_layers.py", "project/test_prose.py",
    "protocol/test_frames.py",
    "protocol/test_handshake.py", "protocol/test_messages.py",
    "protocol/test_origin.py", "protocol/test_utf8.py",
    "publish/test_publish_directive.py", "rooms/test_room.py",
    "rooms/test_room_order.py", "rooms/test_room_parameters.py",
]
CHECK_SUITES = {
    "pytest": ["-q", "-m", "not alone", "-n", f"{FILES_AT_A_TIME}",
               "--dist", "loadfile",
               *(f"t/{name}" for name in QUICK_FILES)],
}


def allow_open_files():
    """Raises the limit of open files. 1,024 are not enough for many clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def outcome(case):
    """The outcome of one <testcase> in the XML of either tool."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None or case.get("status") == "notrun":
        return "skipped"
    return "passed"


def read_report(path):
    """The counts of a report. They are zero if the suite crashed before it
    wrote one."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return Counter()
    return Counter(outcome(case) for case in root.iter("testcase"))


class Suite:
    """One suite. The constructor starts it."""

    def __init__(self, name, command, report, failure_statuses, log=None,
                 **variables):
        """`log`: a file that holds its output until result(). `variables` are
        added to its environment."""
        self.name = name
        self.report = report
        self.failure_statuses = failure_statuses
        self.log = log
        self.process = None
        if os.path.exists(report):
            os.unlink(report)
        if log is None:
            print(f"== {name} tests", flush=True)
        try:
            self.process = subprocess.Popen(command, stdout=log, stderr=log,
                                            env={**os.environ, **variables})
        except OSError as error:
            print(error, flush=True)

    def wait(self):
        """Waits for the end; returns the exit status."""
        status = self.process.wait() if self.process else -1
        if self.log is not None:
            print(f"== {self.name} tests", flush=True)
            self.log.seek(0)
            print(self.log.read().decode(errors="replace"), end="", flush=True)
        return status

    def result(self):
        """Its counts. A bad exit status adds a failure."""
        status = self.wait()
        counts = read_report(self.report)
        failures_counted = status in self.failure_statuses and counts["failed"]
        if status and not failures_counted:
            print(f"{self.name} tests: exit status {status}", flush=True)
            counts["failed"] += 1
        elif not counts["passed"] + counts["failed"]:
            print(f"{self.name} tests: none ran", flush=True)
            counts["failed"] += 1
        return counts


def start_unit_tests(program, output, shard, log):
    """One shard of the GoogleTest program."""
    report = os.path.join(output, f"unit-{shard}.xml")
    return Suite("unit", [program, "--gtest_brief=1",
                          f"--gtest_output=xml:{report}"], report, {1}, log,
                 GTEST_TOTAL_SHARDS=f"{UNIT_SHARDS}",
                 GTEST_SHARD_INDEX=f"{shard}")


def run_pytest(name, options, output):
    """Runs one pytest suite; returns its counts."""
    report = os.path.join(output, f"{name}.xml")
    return Suite(name, [sys.executable, "-m", "pytest", f"--junitxml={report}",
                        f"--basetemp={output}/tmp-{name}", *options],
                 report, {PYTEST_TESTS_FAILED}).result()


def main(output, unit_tests, *pytest_options):
    """Runs the suites; returns the exit status."""
    os.makedirs(output, exist_ok=True)
    allow_open_files()
    suites = {"pytest": pytest_options} if pytest_options else PYTEST_SUITES
    if pytest_options == ("--check",):
        suites = CHECK_SUITES
    counts = Counter()
    with contextlib.ExitStack() as logs:
        shards = [start_unit_tests(unit_tests, output, shard,
                                   logs.enter_context(tempfile.TemporaryFile()))
                  for shard in range(UNIT_SHARDS) if unit_tests != "-"]
        for name, options in suites.items():
            counts += run_pytest(name, options, output)
            while shards:
                counts += shards.pop(0).result()

    line = f"{counts['passed']} passed, {counts['failed']} failed"
    if counts["skipped"]:
        line += f", {counts['skipped']} skipped"
    print(line, flush=True)
    with open(os.path.join(output, "summary"), "w", encoding="ascii") as file:
        file.write(line + "\n")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
