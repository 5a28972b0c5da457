"""A busy server with random clients and faults, from a seed.

environment: SOAK_SECONDS (180); SOAK_SEED (random, printed); SOAK_HOSTS (1),
several of which share a Redis, see soak_hosts.py; and WEBSOCKET_MODULE,
WEBSOCKET_PRELOAD and WEBSOCKET_SLOWNESS, as for the tests.
"""

import os
import secrets
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import helper_path  # noqa: E402,F401
from nginx_server import ROOT, remove_prefix  # noqa: E402
from soak_hosts import HostsSoak  # noqa: E402
from soak_run import Soak  # noqa: E402


def make_soak(hosts, seed, duration, folder):
    """The soak of one host, or of several."""
    if hosts == 1:
        return Soak(seed, duration, folder)
    return HostsSoak(hosts, seed, duration, folder)


def main():
    seed = os.environ.get("SOAK_SEED") or str(secrets.randbelow(1 << 32))
    duration = float(os.environ.get("SOAK_SECONDS") or 180)
    hosts = int(os.environ.get("SOAK_HOSTS") or 1)
    again = f"make soak SOAK_SEED={seed} SOAK_SECONDS={duration:g}"
    if hosts > 1:
        again += f" SOAK_HOSTS={hosts}"
    print(f"seed {seed}; the same again: {again}", flush=True)
    folder = os.path.join(ROOT, "build", "t", f"run-{os.getpid()}", "soak")
    soak = make_soak(hosts, seed, duration, folder)
    try:
        soak.run()
    except BaseException:
        print(f"failed; the files of nginx are in {folder}\n"
              f"seed {seed}; the same again: {again}", flush=True)
        soak.abort()
        raise
    finally:
        soak.close()
        for name, count in sorted(soak.scheduler.counts.items()):
            print(f"  {count:8} {name}")
    remove_prefix(os.path.dirname(folder))
    print("passed")


if __name__ == "__main__":
    main()
