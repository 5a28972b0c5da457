"""nginx-websocket/react with Debian's React, in Node."""

import os
import re
import shutil
import subprocess

import pytest

from nginx_server import ROOT, seconds

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(ROOT, "src", "client", "package")
MODULES = "/usr/share/nodejs"
# react-test-renderer requires these, if the version has them.
REACT = ["react", "react-is", "react-shallow-renderer", "react-test-renderer",
         "scheduler", "object-assign", "loose-envify"]
TYPED = """
import { useRoom, useRooms, useSubscription } from "nginx-websocket/react";

export function Component(): number {
    const { messages, publish, state } = useRoom("/room/a", { keep: 5 });
    const rooms = useRooms("/live", { token: async () => "t" });
    const { clients } = useSubscription(rooms, "a", { history: 5 });
    publish(`${state}: ${messages[0]?.data}`).then((id) => id.length);
    // @ts-expect-error: read-only
    messages.push(messages[0]);
    // @ts-expect-error: no such option
    useRoom("/room/a", { kept: 5 });
    return clients ?? 0;
}
"""


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory):
    """A folder where the package and React are installed."""
    folder = tmp_path_factory.mktemp("react")
    modules = folder / "node_modules"
    shutil.copytree(PACKAGE, modules / "nginx-websocket")
    for name in REACT:
        if os.path.exists(os.path.join(MODULES, name)):
            shutil.copytree(os.path.join(MODULES, name), modules / name)
    for name in ("harness.mjs", "react_hooks.mjs"):
        shutil.copy(os.path.join(HERE, name), folder)
    (folder / "package.json").write_text('{"type":"module"}')
    return folder


def test_hooks(folder):
    done = subprocess.run(["node", "--test", "react_hooks.mjs"], cwd=folder,
                          env={**os.environ, "NODE_ENV": "development"},
                          text=True, check=False, capture_output=True,
                          timeout=seconds(60))
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"pass (\d+)", done.stdout)[1]) >= 7
    assert "Warning" not in done.stdout + done.stderr


def test_types_of_the_hooks(folder):
    shutil.copy(os.path.join(HERE, "types", "tsconfig.json"), folder)
    (folder / "component.ts").write_text(TYPED)
    done = subprocess.run(["tsc", "-p", str(folder)], text=True, check=False,
                          capture_output=True, timeout=seconds(60))
    assert done.returncode == 0, done.stdout
