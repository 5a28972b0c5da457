"""Loopback ports for the servers of one test run."""

import contextlib
import functools
import itertools
import random
import socket


@functools.cache
def own_ports():
    """Loopback ports that no other test run uses, in an endless cycle.

    If a test stops a server, another run must not start one on the same port.
    The kernel assigns higher ports to sockets without a port of their own.
    """
    blocks = list(range(100, 300))
    random.shuffle(blocks)
    for block in blocks:
        holder = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            holder.bind(f"\0nginx-websocket-tests-{block}")
            first = 100 * block
            return holder, itertools.cycle(range(first, first + 100))
        holder.close()
    raise AssertionError("too many test runs at a time")


def is_free(port):
    """Whether a server can listen on the port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def free_ports(count):
    """Loopback ports that nothing listened on a moment ago."""
    _, ports = own_ports()
    free = (port for port in itertools.islice(ports, 100) if is_free(port))
    found = list(itertools.islice(free, count))
    assert len(found) == count, "all ports of this test run are in use"
    return found
