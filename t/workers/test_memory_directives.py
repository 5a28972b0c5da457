"""Directives about shared memory and the number of clients: accepted values,
and errors of nginx -t."""

import re

import pytest


@pytest.mark.parametrize("directive, error", [
    ("websocket_shared_memory 100k;",
     'invalid value "100k" in "websocket_shared_memory" directive; expected a '
     "size from 512k to 8g"),
    ("websocket_shared_memory 9g;", 'value "9g" in "websocket_shared_memory"'),
    ("websocket_shared_memory 9000m;", "a size from 512k to 8g"),
    ("websocket_shared_memory 0;", "a size larger than 0"),
    ("websocket_shared_memory 1m; websocket_shared_memory 2m;", "duplicate"),
    ("websocket_room_memory 7k;", 'invalid value "7k" in '
     '"websocket_room_memory" directive; expected a size of at least 8k'),
    ("websocket_room_memory 0;", "a size larger than 0"),
    ("websocket_room_memory 8k; websocket_room_memory 8k;", "duplicate"),
    ("websocket_shared_memory 1m; websocket_room_memory 2m;",
     'value 2097152 in "websocket_room_memory" directive; expected a size '
     'of at most 1048576 bytes, as "websocket_shared_memory" has'),
    ("websocket_max_clients 0;", 'invalid value "0" in '
     '"websocket_max_clients" directive; expected a number from 1 to '
     '2147483647, or "off"'),
    ("websocket_max_clients -1;", '"websocket_max_clients"'),
    ("websocket_max_clients 9999999999;", '"websocket_max_clients"'),
    ("websocket_max_clients many;", '"websocket_max_clients"'),
    ("websocket_max_clients 5; websocket_max_clients 6;", "duplicate"),
])
def test_directives_refuse(nginx, directive, error):
    passed, output = nginx.check(http=directive)
    assert not passed
    assert error in output


@pytest.mark.parametrize("directive", [
    "websocket_shared_memory 512k;", "websocket_shared_memory 1024m;",
    "websocket_room_memory 8k;", "websocket_room_memory 32m;",
    "websocket_max_clients off;", "websocket_max_clients 2147483647;",
])
def test_directives_take(nginx, directive):
    passed, output = nginx.check(http=directive)
    assert passed, output


@pytest.mark.parametrize("workers", [200, 512])
def test_memory_too_small_for_the_workers_is_refused_with_the_minimum(
        nginx, workers):
    passed, output = nginx.check(http="websocket_shared_memory 512k;",
                                 workers=workers)
    assert not passed and "[crit]" not in output, output
    error = re.search(r'\[emerg\] .*"websocket_shared_memory" of 512k is too '
                      r'small for 512 worker slots; expected at least (\d+)k '
                      r'with these "worker_processes"', output)
    assert error, output
    passed, output = nginx.check(
        http=f"websocket_shared_memory {error.group(1)}k;", workers=workers)
    assert passed, output
