"""A busy server with random clients and faults, from a seed.

environment: SOAK_SECONDS (180); SOAK_SEED (random, printed); SOAK_HOSTS (1);
SOAK_BACKEND, if it is set, adds clients of `websocket http` and a backend that
fails; SOAK_REDIS, what several hosts share: "pair", a Redis with a replica, or
"cluster", or half of the time each if it is not set; and WEBSOCKET_MODULE,
WEBSOCKET_PRELOAD and WEBSOCKET_SLOWNESS, as for the tests.
"""

import os
import secrets
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import helper_path  # noqa: E402,F401
from nginx_server import ROOT, remove_prefix  # noqa: E402
from soak_hosts import KINDS, HostsSoak  # noqa: E402
from soak_http import HttpSoak  # noqa: E402
from soak_run import Soak  # noqa: E402


def run(make_soak, again):
    """Runs a soak; removes its files if it has passed."""
    folder = os.path.join(ROOT, "build", "t", f"run-{os.getpid()}", "soak")
    soak = make_soak(folder)
    try:
        soak.run()
    except BaseException:
        print(f"failed; the files of nginx are in {folder}\n"
              f"the same again: {again}", flush=True)
        soak.abort()
        raise
    finally:
        soak.close()
        for name, count in sorted(soak.scheduler.counts.items()):
            print(f"  {count:8} {name}")
    remove_prefix(os.path.dirname(folder))


def main():
    seed = os.environ.get("SOAK_SEED") or str(secrets.randbelow(1 << 32))
    duration = float(os.environ.get("SOAK_SECONDS") or 180)
    hosts = int(os.environ.get("SOAK_HOSTS") or 1)
    again = f"make soak SOAK_SEED={seed} SOAK_SECONDS={duration:g}"
    if hosts == 1:
        kind = Soak
        if os.environ.get("SOAK_BACKEND"):
            kind, again = HttpSoak, again + " SOAK_BACKEND=1"
        print(f"seed {seed}; the same again: {again}", flush=True)
        run(lambda folder: kind(seed, duration, folder), again)
    else:
        again += f" SOAK_HOSTS={hosts}"
        redis = os.environ.get("SOAK_REDIS")
        kinds = [redis] if redis else list(KINDS)
        print(f"seed {seed}; the same again: {again}"
              f"{redis and f' SOAK_REDIS={redis}' or ''}", flush=True)
        duration /= len(kinds)
        for kind in kinds:
            run(lambda folder, kind=kind: HostsSoak(
                hosts, kind, seed, duration, folder),
                f"make soak SOAK_SEED={seed} SOAK_SECONDS={duration:g} "
                f"SOAK_HOSTS={hosts} SOAK_REDIS={kind}")
    print("passed")


if __name__ == "__main__":
    main()
