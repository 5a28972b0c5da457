"""make bench-charts replaces the results in t/bench/README.md, which has the
instructions of instructions.json."""

import os
import sys

import pytest

from nginx_server import ROOT

sys.path.append(os.path.join(ROOT, "t", "bench"))

# pylint: disable=wrong-import-position
import bench_tables  # noqa: E402
import readme_results  # noqa: E402

SECTIONS = ["machine", "instructions", *bench_tables.TABLES]


@pytest.fixture(name="page")
def page_text():
    with open(readme_results.README, encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("section", SECTIONS)
def test_results_replace_those_of_their_section_alone(page, section):
    changed = readme_results.replace(page, section, "the new results")
    begin = readme_results.BEGIN.format(section)
    assert f"{begin}\n\nthe new results\n\n{readme_results.END}" in changed
    assert changed.count(begin) == 1
    assert changed.count(readme_results.END) == len(SECTIONS)
    assert [line for line in changed.split("\n") if line.startswith("#")] == [
        line for line in page.split("\n") if line.startswith("#")]


def test_unknown_section_is_refused(page):
    with pytest.raises(SystemExit, match="no markers for nothing"):
        readme_results.replace(page, "nothing", "")


def test_readme_has_the_recorded_instructions(page):
    assert readme_results.instructions_text() in page
