"""Short runs of `make soak`, each with a new seed."""

import os
import subprocess
import sys

import pytest

from nginx_server import ROOT, seconds
from redis_cluster import redis_version

SOAK = os.path.join(ROOT, "t", "soak", "soak.py")


@pytest.mark.parametrize("hosts, redis, backend", [
    (1, "", ""), (1, "", "1"), (2, "pair", ""), (2, "cluster", "")])
def test_short_soak_passes(capsys, hosts, redis, backend):
    """The first line of the output has the command that repeats the run."""
    if redis == "cluster" and redis_version() < 7:
        pytest.skip("a cluster requires Redis 7.0")
    environment = {"SOAK_SECONDS": "9", **os.environ,
                   "SOAK_HOSTS": f"{hosts}", "SOAK_REDIS": redis,
                   "SOAK_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, SOAK], env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, timeout=seconds(120))
    with capsys.disabled():
        print(f"\nsoak: {done.stdout.splitlines()[0]}")
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("passed\n"), done.stdout
