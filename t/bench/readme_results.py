"""Writes the results of build/bench.json between the markers of
t/bench/README.md, and the charts into t/bench/charts/."""

import json
import os
import sys
import textwrap

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# pylint: disable=wrong-import-position,unused-import
import helper_path  # noqa: E402,F401
from nginx_server import ROOT  # noqa: E402
import bench_tables  # noqa: E402
import charts  # noqa: E402
from tables import markdown_table  # noqa: E402

RESULT = os.path.join(ROOT, "build/bench.json")
README = os.path.join(ROOT, "t/bench/README.md")
CHARTS = "charts"  # in the folder of the README
RECORD = os.path.join(ROOT, "t/bench/instructions.json")
BEGIN, END = "<!-- results: {} -->", "<!-- end of results -->"


def loads(state):
    """A load average as text."""
    return ", ".join(f"{load:.1f}" for load in state["load_average"])


def describe(found):
    """The date, the machine, the versions and the load average."""
    machine, options = found["machine"], found["options"]
    kernel = machine["kernel"].partition("-")[0]
    text = (f"{machine['before']['time'][:10]}, {machine['cores']} cores of "
            f"{machine['cpu']}, Linux {kernel}, nginx {machine['nginx']}")
    if "ws" in machine:
        text += f", ws {machine['ws']} on Node {machine['node']}"
    text += (f"; medians of {options['runs']} alternating runs of "
             f"{options['seconds']:g} s; load average before: "
             f"{loads(machine['before'])}, after: "
              f"{loads(machine['after'])}.")
    # The server and the generator account for two
    if machine["after"]["load_average"][2] > 3:
        text += (" The machine had other work too: ratios hold, latencies "
                 "do not.")
    return "\n".join(textwrap.wrap(text, 80))


def section_text(found, name):
    """The charts, then the tables for a second of CPU time. The benchmark
    itself also prints those for a second of time."""
    names = {"echo": ["echo", "echo-tls"]}.get(name, [name])
    parts = [f"![{each}]({CHARTS}/{each}.svg)" for each in names]
    for table in bench_tables.tables_of(found, name):
        if not table[0].endswith("per second"):
            parts.append(markdown_table(*table))
    return "\n\n".join(parts)


def instructions_text():
    """The table of instructions, with which later changes are compared."""
    with open(RECORD, encoding="utf-8") as file:
        record = json.load(file)
    where = record["surroundings"]
    return markdown_table(
        f"Instructions of nginx {where['nginx']}, {where['compiler']}, "
        f"{where['simd']}", ["", "instructions"],
        [[name, f"{value:,.0f}"]
         for name, value in record["instructions"].items()])


def replace(page, name, text):
    """Replaces the text between a pair of markers; returns the page."""
    begin = BEGIN.format(name)
    before, found, rest = page.partition(begin)
    if not found or END not in rest:
        sys.exit(f"t/bench/README.md has no markers for {name}")
    return f"{before}{begin}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def main():
    if not os.path.exists(RESULT):
        sys.exit("build/bench.json is missing: run make bench-full first")
    with open(RESULT, encoding="utf-8") as file:
        found = json.load(file)
    charts.draw_all(found, os.path.join(os.path.dirname(README), CHARTS))
    with open(README, encoding="utf-8") as file:
        page = file.read()
    page = replace(page, "machine", describe(found))
    page = replace(page, "instructions", instructions_text())
    for name in bench_tables.TABLES:
        if bench_tables.cells_of(found, name):
            page = replace(page, name, section_text(found, name))
    with open(README, "w", encoding="utf-8") as file:
        file.write(page)


if __name__ == "__main__":
    main()
