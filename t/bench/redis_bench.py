"""Measures rooms on two hosts with a Redis, on one host, and with nchan.

A client publishes on one host, and others subscribe on the other one. Prints
medians as tables and writes build/bench-redis.json. No result makes it fail. A
wrong or missing message does, as does a server that logs an error.
"""

import contextlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# pylint: disable=wrong-import-position,unused-import
import helper_path  # noqa: E402,F401
from nginx_server import ROOT  # noqa: E402
from nginx_server import check_config, wait_until  # noqa: E402
import bench_servers  # noqa: E402
from measuring import (SERVER_CORES, WrongReply, alternate,  # noqa: E402
                       describe_machine, median, parse_run_options, pin,
                       run_load, state_of_machine)
from redis_server import RedisServer  # noqa: E402
from run_tests import allow_open_files  # noqa: E402
from tables import print_table, thousands  # noqa: E402
from worker_probe import cpu_seconds  # noqa: E402

SIZE = 64
RESULT = os.path.join(ROOT, "build/bench-redis.json")
PROBE = 300  # messages of the run that determines the length of others

# (subscribers, messages that not all of them have received)
CASES = [(1, 1), (1, 16), (1, 256), (100, 1), (100, 16)]


class Service:
    """Hosts that share a Redis, or one host without it."""

    def __init__(self, start, count, paths, redis=None):
        self.redis = redis
        self.paths = paths
        self.hosts = [start(number) for number in range(count)]
        self.pids = [pid for host in self.hosts
                     for pid in host.worker_pids()]
        pin(self.pids + self.redis_pids(), SERVER_CORES)

    def redis_pids(self):
        return [self.redis.pid] if self.redis else []

    def load(self, subscribers, depth, messages):
        """Runs the generator once. The result includes the CPU time of the
        hosts and of Redis for each message."""
        before = self.spent()
        found = run_load(
            "fan-out", self.hosts[-1].port, *self.paths,
            f"--publish-port={self.hosts[0].port}",
            f"--connections={subscribers}", f"--in-flight={depth}",
            f"--size={SIZE}", "--text", f"--messages={messages}",
            servers=self.pids + self.redis_pids())
        hosts, redis = (after - one for after, one in zip(self.spent(),
                                                          before))
        found["hosts_us"] = hosts / messages * 1e6
        found["redis_us"] = redis / messages * 1e6
        found["rate"] = messages / found["seconds"]
        return found

    def spent(self):
        """The CPU seconds of the hosts, and of Redis."""
        return (sum(map(cpu_seconds, self.pids)),
                sum(map(cpu_seconds, self.redis_pids())))

    def ready(self):
        """Publishes one message; returns None if it does not arrive."""
        with contextlib.suppress(WrongReply):
            return self.load(1, 1, 1)
        return None

    def stop(self):
        for host in self.hosts:
            host.stop()


OWN_PATHS = ["--path=/quiet", "--publish-path=/quiet"]
NCHAN_PATHS = ["--path=/subscribe", "--publish-path=/publish"]


def own_service(redis=None):
    """Starts rooms on one host, or on two with a Redis."""
    http = f" websocket_redis {redis.url()};" if redis else ""
    return Service(
        lambda number: bench_servers.start_own(
            1, name=f"own-host-{number}", http=http),
        2 if redis else 1, OWN_PATHS, redis)


def nchan_service(module, redis=None):
    """Starts the same with nchan."""
    return Service(
        lambda number: bench_servers.start_nchan(
            module, name=f"nchan-host-{number}",
            redis_url=redis.url() if redis else None),
        2 if redis else 1, NCHAN_PATHS, redis)


def knows_redis():
    """(whether the module accepts websocket_redis, output of nginx -t)."""
    return check_config(
        bench_servers.fresh_prefix("own-check"),
        bench_servers.own_config(bench_servers.OWN_LOCATIONS, 1,
                                 http=" websocket_redis redis://127.0.0.1;"))


def start_services(stack, redis):
    """{name: service}, and the omitted ones with the reason."""
    starts = {"ours, one host": own_service}
    left_out = {}
    passed, output = knows_redis()
    if passed:
        starts["ours, two hosts"] = lambda: own_service(redis)
    else:
        left_out["ours, two hosts"] = output.strip().splitlines()[0]
    module, why_not = bench_servers.find_nchan()
    if module:
        starts["nchan, one host"] = lambda: nchan_service(module)
        starts["nchan, two hosts"] = lambda: nchan_service(module, redis)
    else:
        left_out["nchan"] = why_not
    services = {}
    for name, start in starts.items():
        service = start()
        stack.callback(service.stop)
        try:
            wait_until(service.ready, 15, name)
            services[name] = service
        except AssertionError as fault:
            if not name.startswith("nchan"):
                raise
            left_out[name] = str(fault)
    return services, left_out


def enough(service, subscribers, depth, seconds):
    """The number of messages that take about so many seconds."""
    rate = service.load(subscribers, depth, PROBE)["rate"]
    return max(PROBE, int(rate * seconds))


def run(service, subscribers, depth, options):
    """One result. None: messages of a peer were lost or out of order."""
    try:
        return service.load(subscribers, depth, enough(
            service, subscribers, depth, options.seconds))
    except WrongReply:
        if service.paths is OWN_PATHS:
            raise
        return None


def measure(services, subscribers, depth, options):
    """Measures one case and prints it; returns {name: results}."""
    found = alternate({
        name: lambda service=service: run(service, subscribers, depth, options)
        for name, service in services.items()}, options.runs)
    rows = []
    for name, results in found.items():
        if None in results:
            rows.append([name, "messages missing", *["-"] * 4])
            continue
        rows.append([
            name, thousands(median(results, "rate")),
            *(f"{median(results, 'latency_us', which):,.0f}"
              for which in ("p50", "p99")),
            f"{median(results, 'hosts_us'):.1f}",
            f"{median(results, 'redis_us'):.1f}"
            if services[name].redis else "-"])
    print_table(
        f"{subscribers} subscriber{'s' * (subscribers > 1)}, {depth} "
        f"message{'s' * (depth > 1)} of {SIZE} bytes in flight",
        ["", "messages/s", "p50, us", "p99, us", "hosts, us", "Redis, us"],
        rows)
    return found


def main():
    options = parse_run_options(__doc__)
    allow_open_files()
    os.makedirs(bench_servers.FOLDER, exist_ok=True)
    machine = describe_machine()
    with contextlib.ExitStack() as stack:
        redis = RedisServer()
        stack.callback(redis.remove)
        version = redis.info("server")["redis_version"]
        services, left_out = start_services(stack, redis)
        print(f"Redis {version}; hosts, workers of one each, and Redis share "
              "a core. In flight: sent, and not yet with all subscribers. "
              "Hosts, Redis: CPU time of a message.")
        found = [{"subscribers": subscribers, "depth": depth,
                  "results": measure(services, subscribers, depth, options)}
                 for subscribers, depth in CASES]
    for name, why in left_out.items():
        print(f"\n{name} is left out: {why}")
    machine["after"] = state_of_machine()
    with open(RESULT, "w", encoding="utf-8") as file:
        json.dump({"machine": machine, "redis": version,
                   "options": vars(options), "cases": found,
                   "left_out": left_out}, file, indent=1)
    print(f"\nall runs: {os.path.relpath(RESULT)}")


if __name__ == "__main__":
    try:
        main()
    except (WrongReply, AssertionError) as fault:
        sys.exit(f"bench: {fault}")
