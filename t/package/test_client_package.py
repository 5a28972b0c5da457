"""The npm package nginx-websocket: its rules in Node, with sockets of the test;
its types; what `make client` builds."""

import glob
import json
import os
import re
import shutil
import subprocess
import tarfile

import pytest

from nginx_server import ROOT, seconds

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(ROOT, "src", "client", "package")
NODE_TESTS = sorted(os.path.basename(path) for path in
                    glob.glob(os.path.join(HERE, "*.test.mjs")))
IN_PAGES = """
import { Room } from "nginx-websocket";
console.log(Room.name, typeof new Room("ws://127.0.0.1:9/", {
    WebSocket: class extends EventTarget { close() {} } }).close);
process.exit();
"""


def run(*command, **options):
    """Runs a command that must succeed; returns its output."""
    done = subprocess.run(command, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds(60),
                          **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("name", NODE_TESTS)
def test_rules_in_node(name):
    output = run("node", "--test", os.path.join(HERE, name))
    assert int(re.search(r"pass (\d+)", output)[1]) >= 5


@pytest.fixture(name="packed", scope="module")
def packed_fixture(tmp_path_factory):
    """The output of pack.sh, and a folder into which the package is installed
    as npm does it."""
    folder = tmp_path_factory.mktemp("package")
    output = run(os.path.join(ROOT, "src", "client", "pack.sh"), str(folder))
    modules = folder / "node_modules"
    with tarfile.open(output.split("\n")[-2]) as archive:
        archive.extractall(modules)
    (modules / "package").rename(modules / "nginx-websocket")
    (folder / "package.json").write_text('{"type":"module"}')
    return output, folder


def test_sizes_are_below_their_limits(packed):
    sizes = re.findall(r"^([\w ]+): (\d+) bytes of at most (\d+)$", packed[0],
                       re.MULTILINE)
    assert [name for name, *_ in sizes] == ["Room", "Room and Rooms"]
    limits = [int(limit) for *_, limit in sizes]
    assert limits == [6 * 1024, 8 * 1024]
    for _, size, limit in sizes:
        assert 1000 < int(size) <= int(limit)


def test_package_has_its_files_and_the_version_of_the_module(packed):
    installed = packed[1] / "node_modules" / "nginx-websocket"
    description = json.loads((installed / "package.json").read_text())
    with open(os.path.join(ROOT, "src/nginx/core/version.hpp"),
              encoding="utf-8") as file:
        version = re.search(r'module_version = "(.*)"', file.read())[1]
    assert description["version"] in (version, f"{version}.0")
    assert packed[0].strip().endswith(
        f"nginx-websocket-{description['version']}.tgz")
    names = {path.name for path in installed.iterdir()}
    assert names == set(os.listdir(PACKAGE)) | {"LICENSE"}
    assert "dependencies" not in description
    for entry in description["exports"].values():
        for path in entry.values():
            assert (installed / path).exists()


def test_same_sources_give_the_same_package(packed, tmp_path):
    first = packed[0].split("\n")[-2]
    second = run(os.path.join(ROOT, "src", "client", "pack.sh"),
                 str(tmp_path)).split("\n")[-2]
    with open(first, "rb") as one, open(second, "rb") as other:
        assert one.read() == other.read()


def test_installed_package_works_in_node(packed):
    folder = packed[1]
    (folder / "use.js").write_text(IN_PAGES)
    assert run("node", "use.js", cwd=folder) == "Room function\n"


def test_bundle_works_without_the_package(packed, tmp_path):
    folder = packed[1]
    (folder / "bundled.js").write_text(IN_PAGES)
    bundle = tmp_path / "bundle.mjs"
    run("esbuild", "--bundle", "--minify", "--format=esm", "--platform=node",
        f"--outfile={bundle}", "bundled.js", cwd=folder)
    assert "nginx-websocket" not in bundle.read_text()
    assert run("node", str(bundle)).endswith(" function\n")


def test_bundle_of_one_room_has_no_other_code(packed):
    """The package has no side effects, so bundlers leave out Rooms."""
    folder = packed[1]
    (folder / "one.js").write_text(
        'import { Room } from "nginx-websocket"; new Room("/r");')
    text = run("esbuild", "--bundle", "--format=esm", "one.js", cwd=folder)
    assert "room.v1.json" in text and "rooms.v1.json" not in text


def test_types_are_correct_in_strict_mode(packed):
    folder = packed[1]
    for name in os.listdir(os.path.join(HERE, "types")):
        shutil.copy(os.path.join(HERE, "types", name), folder)
    run("tsc", "-p", str(folder))


def test_wrong_types_are_errors(packed):
    """tsc has the types of this package: otherwise it would accept all."""
    folder = packed[1] / "wrong"
    folder.mkdir()
    with open(os.path.join(HERE, "types", "tsconfig.json"),
              encoding="utf-8") as file:
        (folder / "tsconfig.json").write_text(file.read())
    (folder / "wrong.ts").write_text(
        'import { Room } from "nginx-websocket";\n'
        'const id: number = await new Room("/r").publish("x");\n')
    done = subprocess.run(["tsc", "-p", str(folder)], text=True, check=False,
                          capture_output=True)
    assert "'string' is not assignable to type 'number'" in done.stdout


def read_source(name):
    with open(os.path.join(PACKAGE, name), encoding="utf-8") as file:
        return file.read()


def test_readme_has_each_option_event_and_error():
    readme = read_source("README.md")
    types = read_source("index.d.ts")
    options = set(re.findall(r"^    (\w+)\?: ", re.search(
        r"interface ConnectionOptions {.*?\n}.*?interface ChannelOptions {"
        r".*?\n}", types, re.DOTALL)[0], re.MULTILINE))
    defaults = set(re.findall(r"^    (\w+): ", read_source("options.js"),
                              re.MULTILINE))
    assert defaults < options and len(options) > 15
    table = readme[readme.index("## Options"):readme.index("## Events")]
    described = set(re.findall(r"`(\w+)`", " ".join(
        line.split("|")[1] for line in table.split("\n")
        if line.startswith("| `"))))
    assert described == options
    events = {name for text in re.findall(
        r"interface (?:Channel|Connection|Room|Subscription)Events[^{]*"
        r"{(.*?)\n}", types, re.DOTALL)
              for name in re.findall(r"^    (\w+): ", text, re.MULTILINE)}
    table = readme[readme.index("## Events"):readme.index("## Publishing")]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == events
    errors = set(re.findall(r'new RoomError\("([^"]+)"', "".join(
        read_source(name) for name in os.listdir(PACKAGE)
        if name.endswith(".js"))))
    assert len(errors) >= 4
    assert not [text for text in errors if f"`{text}`" not in readme]
