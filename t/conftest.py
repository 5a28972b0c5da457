"""Fixtures: real nginx servers whose logs must be without errors."""

import itertools
import os
import re
import shutil

import pytest

from daemon_server import DaemonServer
from hosts import Hosts
from http_backend import HttpBackend
from longest_files import LONGEST_FILES
from nginx_config import NginxConfig
from nginx_server import ROOT, NginxServer, check_config, remove_prefix
from redis_cluster import RedisCluster, redis_version
from redis_server import RedisServer

RUNS = os.path.join(ROOT, "build", "t")

# Tests of these files run with both values of websocket_request.
BOTH_REQUEST_POLICIES = {
    "test_backend_errors", "test_backend_events", "test_backend_gateways",
    "test_backend_passes", "test_backend_upstreams", "test_backend_users",
    "test_close", "test_handler_lifetimes", "test_leaks", "test_messages",
    "test_jwt", "test_other_modules", "test_pipelining", "test_room",
    "test_room_order",
    "test_shutdown", "test_token_end", "test_user", "test_variables",
}

def pytest_generate_tests(metafunc):
    """Gives the tests of some files both request policies."""
    if "request_policy" in metafunc.fixturenames and \
            metafunc.module.__name__ in BOTH_REQUEST_POLICIES and \
            "WEBSOCKET_REQUEST" not in os.environ:
        metafunc.parametrize("request_policy", ["keep", "release"],
                             indirect=True, scope="module")


def pytest_collection_modifyitems(items):
    """Puts the longest files first, and spreads the other files that need a
    browser among the rest, because browsers use the processors and most other
    tests wait."""
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    longest = [path for name in LONGEST_FILES for path in files
               if path.stem == name]
    browsers = [path for path in files if path not in longest
                and path.name.startswith("test_browser")]
    others = [path for path in files
              if path not in longest and path not in browsers]
    space = len(others) // (len(browsers) + 2) or 1
    for number, path in enumerate(browsers):
        others.insert(1 + number * (space + 1), path)
    items[:] = [item for path in longest + others for item in files[path]]


@pytest.fixture(scope="module")
def request_policy(request):
    """The request policy of configurations that do not set one."""
    return getattr(request, "param", os.environ.get("WEBSOCKET_REQUEST"))


@pytest.fixture(scope="session")
def run_folder():
    """The folder of this test run. It remains if a test failed."""
    os.makedirs(RUNS, exist_ok=True)
    for name in os.listdir(RUNS):
        pid = re.fullmatch(r"run-(\d+)", name)
        if pid and not os.path.exists(f"/proc/{pid.group(1)}"):
            shutil.rmtree(os.path.join(RUNS, name), ignore_errors=True)
    folder = os.path.join(RUNS, f"run-{os.getpid()}")
    os.makedirs(folder, exist_ok=True)
    yield folder
    if not os.listdir(folder):
        os.rmdir(folder)


class ServerPool:
    """The servers of one fixture. They are stopped and checked when it
    ends."""

    count = itertools.count(1)

    def __init__(self, folder, name, request_policy, kind=NginxServer):
        self.folder = folder
        self.request_policy = request_policy
        self.kind = kind
        self.name = re.sub(r"[^\w.-]+", "-", name)[:60]
        self.servers = []

    def prefix(self):
        return os.path.join(self.folder, f"{self.name}-{next(self.count)}")

    def config(self, *args, **options):
        return NginxConfig(*args, **{"request_policy": self.request_policy,
                                     **options})

    def __call__(self, *args, **options):
        """Starts an nginx; the arguments are those of NginxConfig."""
        server = self.kind(self.prefix(), self.config(*args, **options))
        self.servers.append(server)
        return server

    def check(self, *args, **options):
        """Runs nginx -t on a configuration; returns (passed, output)."""
        prefix = self.prefix()
        answer = check_config(prefix, self.config(*args, **options))
        remove_prefix(prefix)
        return answer

    def stop(self):
        """Stops and checks all servers; any fault fails the test."""
        faults = []
        for server in self.servers:
            try:
                server.stop()
                server.assert_clean_logs()
            except AssertionError as fault:
                faults.append(f"{server.prefix}: {fault}")
        assert not faults, "\n".join(faults)


def serve(pools, pool, failures):
    """Yields a pool, stops its servers, and removes their folders unless a
    test failed."""
    before = len(failures)
    pools.append(pool)
    yield pool
    pools.remove(pool)
    pool.stop()
    if len(failures) == before:
        for server in pool.servers:
            remove_prefix(server.prefix)


@pytest.fixture(scope="session")
def live_pools():
    """All pools whose servers may be running."""
    return []


@pytest.fixture(scope="session")
def failures(request):
    """The reports of failed tests so far."""
    return request.config.stash.setdefault(FAILURES, [])


FAILURES = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Records failures, so that the folders of their servers are kept."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.config.stash.setdefault(FAILURES, []).append(report.nodeid)


@pytest.fixture(scope="module")
def module_nginx(request, run_folder, live_pools, failures, request_policy):
    """Starts servers that all tests of a file share."""
    pool = ServerPool(run_folder, request.module.__name__, request_policy)
    yield from serve(live_pools, pool, failures)


@pytest.fixture
def nginx(request, run_folder, live_pools, failures, request_policy):
    """Starts servers for one test."""
    pool = ServerPool(run_folder, request.node.name, request_policy)
    yield from serve(live_pools, pool, failures)


@pytest.fixture
def nginx_daemon(request, run_folder, live_pools, failures, request_policy):
    """Starts servers that can be upgraded, for one test."""
    pool = ServerPool(run_folder, request.node.name, request_policy,
                      DaemonServer)
    yield from serve(live_pools, pool, failures)


@pytest.fixture(scope="module")
def module_redis():
    """A Redis that all tests of a file share."""
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture
def start_redis():
    """Starts a Redis for one test, with the options of RedisServer."""
    started = []

    def start(**options):
        started.append(RedisServer(**options))
        return started[-1]

    yield start
    for server in started:
        server.remove()


@pytest.fixture
def redis(start_redis):
    """A Redis for one test."""
    return start_redis()


@pytest.fixture
def start_cluster():
    """Starts a RedisCluster with these options."""
    if redis_version() < 7:
        pytest.skip("a cluster requires Redis 7.0")
    started = []

    def start(**options):
        started.append(RedisCluster(**options))
        return started[-1]

    yield start
    for cluster in started:
        cluster.remove()


@pytest.fixture
def cluster(start_cluster):
    return start_cluster(replicas=0)


@pytest.fixture(scope="module")
def module_hosts(module_redis, module_nginx):
    """Starts hosts that all tests of a file share; see Hosts."""
    yield from start_hosts(module_nginx, module_redis)


@pytest.fixture
def hosts(redis, nginx):
    """Starts hosts for one test. They use `redis` if none is given."""
    yield from start_hosts(nginx, redis)


@pytest.fixture(scope="module", params=[1, 2], ids=["one-host", "two-hosts"])
def module_group(request, module_nginx):
    """Starts one host without Redis, then two that share one, for all tests
    of a file; see Hosts. The Redis ends after the hosts."""
    redis = RedisServer() if request.param > 1 else None
    yield from start_hosts(module_nginx, redis, count=request.param)
    if redis is not None:
        redis.remove()


def start_hosts(nginx, redis, **defaults):
    """Yields a function that starts hosts; closes them at the end."""
    started = []

    def start(*args, **options):
        options = {"redis": redis, **defaults, **options}
        started.append(Hosts(nginx, options.pop("redis"), *args, **options))
        return started[-1]

    yield start
    for group in started:
        group.close()


@pytest.fixture
def backend():
    """A backend for `websocket http`."""
    started = HttpBackend()
    yield started
    started.close()


@pytest.fixture(autouse=True)
def check_logs(live_pools):
    """Disconnects the clients of each test and checks the logs."""
    for pool in live_pools:
        for server in pool.servers:
            server.begin_test()
    yield
    for pool in live_pools:
        for server in pool.servers:
            if not server.stopped:
                server.release_clients()
            server.assert_clean_logs()
