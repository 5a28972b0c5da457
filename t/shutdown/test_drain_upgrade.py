"""An upgrade of nginx (USR2) while clients are connected."""

import os
import signal

from daemon_server import PRELOADED, alive
from nginx_server import seconds, wait_until
from publish_client import Publisher
from resuming_room_clients import ResumingClients

LOCATIONS = """
location /room { websocket room $arg_k history=1000; }
location /publish { websocket_publish room $arg_k; }
"""
UPGRADE = {
    "http": "websocket_drain 500ms 1012;", "workers": 2,
    "main": PRELOADED,
}


def publish_to(server, text):
    publisher = Publisher(server, "/publish?k=1")
    published = publisher.post(text)
    publisher.client.disconnect()
    return published


def codes_of(pool):
    return [code for client in pool.clients for code in client.codes]


def watch_workers_leave(pool, server, old):
    """Waits until the old workers have exited. An old worker may still get
    clients of another one. It closes them as well, and waits for their Close
    frames."""
    pool.watch(lambda: not set(old) & set(server.worker_pids()), 5,
               lambda: f"the end of workers {old}")
    assert all(client.codes for client in pool.clients)
    assert set(codes_of(pool)) == {1012}


def test_upgrade_moves_clients_to_the_new_program(nginx_daemon):
    """The new nginx has its own memory, so rooms begin a new epoch."""
    server = nginx_daemon(LOCATIONS, **UPGRADE)
    epoch = publish_to(server, "before")[0]
    with ResumingClients(server, 20,
                         "/room?k=1") as pool, server.upgraded() as new:
        old = [pid for pid in server.worker_pids() if pid != new]
        server.send_signal(signal.SIGWINCH)
        watch_workers_leave(pool, server, old)
        server.send_signal(signal.SIGQUIT)
        server.wait_for_exit()
        fresh = publish_to(server, "after")
        assert fresh[0] > epoch
        pool.watch(lambda: all(client.last == "%d-%d" % fresh
                               for client in pool.clients), 5,
                   lambda: "the new message")
        for client in pool.clients:
            assert client.epochs == [str(epoch), str(fresh[0])]
            assert client.sequences == [1, 1]
            assert (client.gaps, client.broken) == (1, 0)


def test_cancelled_upgrade_loses_nothing(nginx_daemon):
    """The old master still has the memory of the rooms. Clients that return
    from the new nginx find it, and all others resume."""
    server = nginx_daemon(LOCATIONS, **UPGRADE)
    first = publish_to(server, "before")
    with ResumingClients(server, 20,
                         "/room?k=1") as pool, server.upgraded() as new:
        old = [pid for pid in server.worker_pids() if pid != new]
        server.send_signal(signal.SIGWINCH)
        watch_workers_leave(pool, server, old)
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.worker_pids()) == 3, seconds(5),
                   "workers of the old master")
        os.kill(new, signal.SIGQUIT)
        pool.watch(lambda: not alive(new), 5, lambda: "the new master's end")
        assert set(codes_of(pool)) == {1012}
        assert publish_to(server, "after") == (first[0], 2)
        pool.watch(lambda: all(client.last == f"{first[0]}-2"
                               for client in pool.clients), 5,
                   lambda: "the new message")
