"""Runs unit and pytest suites; the last line counts what passed and failed.

usage: run_tests.py OUTPUT UNIT_TESTS [pytest options]; UNIT_TESTS is the
GoogleTest program, or "-" for none.  Without options all of t is run: most
tests wait most of their time, so that two files are run at a time, and by
themselves those that measure, marked as alone.  The counts come from the XML
reports and are never better than the exit status: a suite that crashed,
reported nothing or ran no test counts as one failure more.
"""

import os
import resource
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

PYTEST_TESTS_FAILED = 1
OPEN_FILES = 16384

PYTEST_SUITES = {
    "pytest-alone": ["-q", "-m", "alone", "t"],
    "pytest": ["-q", "-m", "not alone", "-n", "2", "--dist", "loadfile", "t"],
}


def allow_open_files():
    """A login shell allows 1,024, too few for tests with many clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def outcome(case):
    """What became of one <testcase>, in either tool's XML."""
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    if case.find("skipped") is not None or case.get("status") == "notrun":
        return "skipped"
    return "passed"


def read_report(path):
    """Counts of a report; none where the suite did not live to write it."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return Counter()
    return Counter(outcome(case) for case in root.iter("testcase"))


def run_suite(name, command, report, failure_statuses):
    """Runs one suite; its exit status has the last word."""
    if os.path.exists(report):
        os.unlink(report)
    print(f"== {name} tests", flush=True)
    try:
        status = subprocess.run(command, check=False).returncode
    except OSError as error:
        print(error, flush=True)
        status = -1
    counts = read_report(report)
    told = status in failure_statuses and counts["failed"]
    if status and not told:
        print(f"{name} tests: exit status {status}", flush=True)
        counts["failed"] += 1
    elif not counts["passed"] + counts["failed"]:
        print(f"{name} tests: none ran", flush=True)
        counts["failed"] += 1
    return counts


def main(output, unit_tests, *pytest_options):
    """Runs what was asked for; returns the exit status."""
    os.makedirs(output, exist_ok=True)
    allow_open_files()
    counts = Counter()
    if unit_tests != "-":
        report = os.path.join(output, "unit.xml")
        counts += run_suite(
            "unit", [unit_tests, "--gtest_brief=1",
                     f"--gtest_output=xml:{report}"], report, {1})
    suites = {"pytest": pytest_options} if pytest_options else PYTEST_SUITES
    for name, options in suites.items():
        report = os.path.join(output, f"{name}.xml")
        counts += run_suite(
            name, [sys.executable, "-m", "pytest", f"--junitxml={report}",
                   f"--basetemp={output}/tmp-{name}", *options],
            report, {PYTEST_TESTS_FAILED})

    line = f"{counts['passed']} passed, {counts['failed']} failed"
    if counts["skipped"]:
        line += f", {counts['skipped']} skipped"
    print(line, flush=True)
    with open(os.path.join(output, "summary"), "w", encoding="ascii") as file:
        file.write(line + "\n")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
