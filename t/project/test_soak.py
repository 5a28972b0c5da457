"""Short runs of `make soak`, each with a new seed."""

import os
import subprocess
import sys

import pytest

from nginx_server import ROOT, seconds

SOAK = os.path.join(ROOT, "t", "soak", "soak.py")


@pytest.mark.parametrize("hosts", [1, 2])
def test_short_soak_passes(capsys, hosts):
    """The first line of the output has the command that repeats the run."""
    environment = {"SOAK_SECONDS": "9", **os.environ,
                   "SOAK_HOSTS": f"{hosts}"}
    done = subprocess.run(
        [sys.executable, SOAK], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=seconds(120))
    with capsys.disabled():
        print(f"\nsoak: {done.stdout.splitlines()[0]}")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("passed\n"), done.stdout
