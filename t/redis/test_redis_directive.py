"""The directive websocket_redis: accepted values and errors of nginx -t.
Without it hiredis is not loaded."""

import os
import re
import subprocess

import pytest

from config_errors import expect_error
from nginx_server import ROOT, seconds, wait_until

# This name never resolves (RFC 6761).
UNKNOWN = "nowhere.invalid"
RESOLVER = "resolver 127.0.0.1:1 ipv6=off;"


def refuse_redis(nginx, args, pattern):
    """nginx -t fails with a line that matches the pattern, and its output does
    not have the password."""
    http = f"websocket_redis {args};"
    expect_error(nginx, pattern, http=http)
    _, output = nginx.check(http=http)
    assert "secret" not in output


def maps_hiredis(pid):
    """Whether the process has loaded hiredis."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as file:
        return "libhiredis" in file.read()


def numbers(cases):
    """Ids of cases without passwords, because nginx logs the name of its
    folder."""
    return [str(number) for number in range(len(cases))]


# Accepted

ACCEPTED = [
    "redis://127.0.0.1", "redis://localhost:6380/2", "redis://[::1]:6379",
    "rediss://:secret@127.0.0.1", "redis://chat:se%40cret@127.0.0.1/0", "redis://:secret@127.0.0.1",
    "sentinel://127.0.0.1/m", "sentinels://:secret@127.0.0.1,[::1]:1/my.m-1/2",
    "sentinels://127.0.0.1/m server_name=redis.example",
    "cluster://127.0.0.1", "clusters://:secret@127.0.0.1,[::1]:1/0",
    "clusters://127.0.0.1 server_name=redis.example prefix=a:",
    "unix:/run/redis/redis.sock",
    "'unix:/run/redis/redis.sock?user=a&password=secret&db=1'",
    "redis://127.0.0.1 prefix=chat: connect_timeout=500ms"
    " command_timeout=1m queue=64k wait=0",
    "redis://127.0.0.1 prefix=", "redis://127.0.0.1 prefix=a=b",
]


@pytest.mark.parametrize("args", ACCEPTED, ids=numbers(ACCEPTED))
def test_directive_is_accepted_with(nginx, args):
    passed, output = nginx.check(http=f"websocket_redis {args};")
    assert passed and "[warn]" not in output, output
    assert "secret" not in output


def test_directive_is_accepted_without_any_location_of_ours(nginx):
    passed, output = nginx.check(locations="",
                                 http="websocket_redis redis://127.0.0.1;")
    assert passed, output


# Refused

REFUSED = [
    ("", "invalid number of arguments"),
    ("localhost", r'invalid address in "websocket_redis" directive: expected '
     r'"redis://\[\[user\]'),
    ("valkeys://:secret@localhost", 'the same with "rediss://", .* for TLS'),
    ("redis://", "no host"),
    ("redis://user@localhost", 'expected "user:password"'),
    ("redis://user:se/secret@localhost", '"/".* in a password as .*"%2F"'),
    ("redis://:secret@localhost:x",
     "the port must be a number from 1 to 65535"),
    ("redis://:secret@localhost/x",
     'the database must be a number, such as "/2"'),
    ("redis://::1", r'write an IPv6 address as "\[::1\]"'),
    ("redis://[1:2]", "invalid IPv6 address"),
    ("unix:redis.sock", 'the path of the socket must begin with "/"'),
    ("'unix:/a?pass=secret'", 'expected "user="'),
    ("sentinel://:secret@127.0.0.1", "expected the name of the master after "
     'the sentinels, such as "/mymaster"'),
    ("sentinel://127.0.0.1,/m", "no host"),
    ("sentinel://127.0.0.1:0,127.0.0.1/m", "the port"),
    ("sentinel://127.0.0.1/m/x", "the database must be a number"),
    ("sentinel://127.0.0.1/m ca=x", '"ca=".* requires an address that begins '
     'with "rediss://", "sentinels://" or "clusters://"'),
    ("cluster://:secret@127.0.0.1/1", "a cluster has only the database 0"),
    ("cluster://127.0.0.1,", "no host"),
    ("cluster://127.0.0.1 'prefix={a}'", r'invalid value "\{a\}" of "prefix=".* '
     r'expected a text without "\{" with a cluster'),
    ("redis://localhost prefix", "invalid argument 2"),
    ("redis://localhost prefix=a Prefix=secret", "invalid argument 3"),
    ("redis://:a secret@localhost", "no host"),
    ("prefix=a redis://:secret@localhost", "expected .redis://"),
    ("redis://127.0.0.1 redis://:secret@localhost", "invalid argument 2"),
    ("redis://localhost prefix=a prefix=a", 'duplicate parameter "prefix="'),
    ("redis://localhost queue=1m queue=2m", 'duplicate parameter "queue="'),
    ("redis://localhost connect_timeout=0",
     'invalid value "0" of "connect_timeout=" in "websocket_redis" directive; '
     "expected a time"),
    ("redis://localhost command_timeout=soon",
     'value "soon" of "command_timeout=".* expected a time'),
    ("redis://localhost command_timeout=", 'value "" of "command_timeout="'),
    ("redis://localhost wait=x", 'value "x" of "wait=".* a time'),
    ("redis://localhost wait=1s wait=2s", 'duplicate parameter "wait="'),
    ("redis://localhost queue=0", 'value "0" of "queue=".* a size'),
    ("redis://localhost queue=big", 'value "big" of "queue="'),
]


@pytest.mark.parametrize("args, pattern", REFUSED, ids=numbers(REFUSED))
def test_directive_is_refused_with(nginx, args, pattern):
    refuse_redis(nginx, args, pattern)


def test_second_directive_is_refused(nginx):
    expect_error(nginx, '"websocket_redis" directive is duplicate',
                 http="websocket_redis redis://127.0.0.1;\n" * 2)


@pytest.mark.parametrize("options", [
    {"server": "websocket_redis redis://127.0.0.1;"},
    {"locations": "location / { websocket_redis redis://127.0.0.1; }"}])
def test_directive_is_refused_outside_of_http(nginx, options):
    expect_error(nginx, '"websocket_redis" directive is not allowed here',
                 **options)


# Names

def test_name_that_does_not_resolve_is_refused(nginx):
    refuse_redis(nginx, f"redis://:secret@{UNKNOWN}",
                 rf'cannot resolve host "{UNKNOWN}" of "websocket_redis" '
                 "directive: host not found")


def test_one_sentinel_must_resolve(nginx):
    refuse_redis(nginx, f"sentinel://:secret@{UNKNOWN}/m",
                 rf'cannot resolve host "{UNKNOWN}"')
    passed, output = nginx.check(
        http=f"websocket_redis sentinel://{UNKNOWN},127.0.0.1/m;")
    assert passed, output
    assert re.search(rf'\[warn\].*cannot resolve host "{UNKNOWN}".*: host not '
                     r"found in \S+nginx\.conf:\d+\n", output), output


@pytest.mark.parametrize("lines", [
    f"{RESOLVER}\nwebsocket_redis redis://{UNKNOWN};",
    f"websocket_redis redis://{UNKNOWN};\n{RESOLVER}"])
def test_name_that_does_not_resolve_is_left_to_the_resolver(nginx, lines):
    passed, output = nginx.check(http=lines)
    assert passed, output
    assert re.search(rf'\[warn\].*"{UNKNOWN}".*: host not found.*; workers '
                     r"will ask the resolver in \S+nginx\.conf:\d+\n", output)


def test_address_needs_no_resolver(nginx):
    passed, output = nginx.check(
        http=f"{RESOLVER} websocket_redis redis://[0:0::1];")
    assert passed and "[warn]" not in output, output


# The library

@pytest.fixture
def swapper(run_folder, monkeypatch):
    """Makes nginx load another library, given by name, instead of hiredis."""
    if os.environ.get("WEBSOCKET_PRELOAD"):
        pytest.skip("sanitizers must be the only preloaded library")
    library = os.path.join(run_folder, "library_swapper.so")
    source = os.path.join(ROOT, "t", "preload", "hiredis_swapper.c")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared",
                    "-fPIC", "-o", library, source], check=True)

    def give(name):
        monkeypatch.setenv("LIBRARY_SWAPPER_GIVES", name)

    monkeypatch.setenv("WEBSOCKET_PRELOAD", library)
    yield give
    os.unlink(library)


def test_missing_library_is_refused_with_its_package(nginx, swapper):
    swapper("libnosuch.so.0")
    refuse_redis(nginx, "redis://:secret@127.0.0.1",
                 r'"websocket_redis" directive: cannot load the library '
                 r"hiredis: libnosuch.so.0: cannot open .*; "
                 r"install Debian's package libhiredis[\d.]+")


def test_library_without_a_function_is_refused_with_its_name(nginx, swapper):
    swapper("libz.so.1")
    refuse_redis(nginx, "redis://:secret@127.0.0.1",
                 r"libhiredis\.so\.[\d.]+ has no function redisReader\w+; "
                 r"install Debian's package libhiredis")


def test_missing_library_is_no_error_without_the_directive(nginx, swapper):
    swapper("libnosuch.so.0")
    passed, output = nginx.check()
    assert passed, output


def test_library_is_loaded_with_the_directive_alone(nginx):
    server = nginx()
    for pid in [server.pid, *server.worker_pids()]:
        assert not maps_hiredis(pid)
    server.rewrite_config("default_type text/plain;", "default_type text/plain;"
                          " websocket_redis unix:/nowhere.sock;")
    server.reload()
    assert maps_hiredis(server.pid)
    server.allow_errors("cannot use Redis at unix:/nowhere.sock")
    wait_until(lambda: "cannot use Redis" in server.log(), seconds(5),
               "an attempt to connect")
