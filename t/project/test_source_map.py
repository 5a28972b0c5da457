"""All files that src/README.md names exist."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
NAMED = re.compile(r"`([a-z_]+/[a-z_/]*(?:[a-z_]+\.(?:cpp|hpp|h|py))?)`")


def named_paths():
    with open(os.path.join(ROOT, "src/README.md"), encoding="utf-8") as file:
        return sorted(set(NAMED.findall(file.read())))


def test_map_names_files_that_are_there():
    missing = [path for path in named_paths()
               if not os.path.exists(os.path.join(ROOT, "src", path))
               and not os.path.exists(os.path.join(ROOT, path))]
    assert not missing


def test_map_names_each_folder():
    folders = {os.path.relpath(path, os.path.join(ROOT, "src")) + "/"
               for path, _, files in os.walk(os.path.join(ROOT, "src"))
               if any(name.endswith((".cpp", ".hpp")) for name in files)}
    assert folders <= set(named_paths())
