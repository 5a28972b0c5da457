"""Reloads with another Redis or without one. Old and new workers have separate
rooms, and the clients of old ones are closed with 1012."""

import contextlib
import signal
import socket

import pytest

import wire
from daemon_server import PRELOADED
from nginx_server import module_file, seconds, wait_until
from publish_client import Publisher
from room_client import join, read_data, read_type, send_text

LOCATIONS = """
location /room { websocket room all history=10; }
location /publish { websocket_publish room all; }
"""
MARK = "default_type text/plain;"


def directive(redis, prefix):
    return f"websocket_redis {redis.url()} prefix={prefix};" if prefix else ""


def rewrite(server, redis, old, new):
    server.rewrite_config(MARK + directive(redis, old),
                          MARK + directive(redis, new))


def publish(server, text):
    publisher = Publisher(server, "/publish")
    publisher.post(text)
    publisher.client.disconnect()


def memories(server):
    """The number of the master's shared memory zones of this size."""
    with open(f"/proc/{server.pid}/maps", encoding="ascii") as file:
        spans = [line.split()[0].split("-") for line in file
                 if "/dev/zero" in line]
    return sum(int(end, 16) - int(begin, 16) == 3 << 20
               for begin, end in spans)


@pytest.mark.parametrize("before, after", [
    ("", "a:"), ("a:", "b:"), ("a:", "")], ids=["added", "other", "removed"])
def test_reload_to_another_redis_loses_no_message(redis, nginx, before,
                                                  after):
    server = nginx(LOCATIONS, http="websocket_shared_memory 3m;"
                                   "websocket_drain 1h;")
    rewrite(server, redis, "", before)
    server.wait_for_workers_gone(server.reload())
    leaving, staying = join(server, "/room"), join(server, "/room")
    rewrite(server, redis, before, after)
    server.reload()
    leaving.expect_close(1012)
    leaving.disconnect()
    new = [join(server, "/room") for _ in range(2)]
    for number in range(5):
        send_text(staying, f"old {number}")
        assert read_data(staying) == [f"old {number}"]
        publish(server, f"new {number}")
        for client in new:
            assert read_data(client) == [f"new {number}"]
    for client in (staying, *new):
        client.disconnect()


@pytest.mark.parametrize("drain, after, code", [
    ("", "{other}", 1012), ("", "{same}/1", 1012),
    ("", "{same} prefix=b:", 1012), ("", "", 1012),
    ("websocket_drain 1s;", "{other}", 1012),
    ("websocket_drain 1s 1001;", "{other}", 1001),
    ("websocket_drain 1s 4001;", "{other}", 4001),
    ("", "{same}", 1001), ("", "{same} queue=2m command_timeout=9s", 1001),
], ids=["server", "database", "prefix", "removed", "drain", "configured",
        "own code", "no change", "limits"])
def test_reload_closes_clients_with(redis, start_redis, nginx, drain, after,
                                    code):
    directive = f"websocket_redis {redis.url()};"
    server = nginx(LOCATIONS, http=drain + directive)
    client = join(server, "/room")
    after = after.format(other=start_redis().url(), same=redis.url())
    server.rewrite_config(directive, after and f"websocket_redis {after};")
    old = server.reload()
    client.expect_close(code)
    client.disconnect()
    server.wait_for_workers_gone(old)
    client = join(server, "/room")
    server.reload()
    client.expect_close(1001 if code == 1012 else code)


def test_old_clients_stay_with_the_hosts_of_their_redis(hosts, start_redis):
    """The old worker goes on with the earlier Redis until it is gone."""
    pair = hosts(LOCATIONS, workers=1, http="websocket_drain 1h;")
    near, far = pair
    # The first client of the worker gets its Close at once
    leaving, staying = near.join("/room"), near.join("/room")
    other = far.join("/room")
    near.server.rewrite_config(near.redis.url(), start_redis().url())
    near.server.reload()
    leaving.expect_close(1012)
    leaving.disconnect()
    new = near.join("/room")
    for number in range(5):
        far.post("/publish", f"far {number}")
        send_text(staying, f"near {number}")
        for client in (staying, other):
            assert read_data(client, 2) == [f"far {number}", f"near {number}"]
    near.post("/publish", "new")
    assert read_data(new) == ["new"]


def test_reloads_to_another_redis_leave_one_memory(redis, nginx):
    server = nginx(LOCATIONS, http="websocket_shared_memory 3m;")
    assert memories(server) == 1
    before = ""
    for after in ("a:", "a:", "b:", "", ""):
        rewrite(server, redis, before, after)
        server.wait_for_workers_gone(server.reload())
        assert memories(server) == 1
        before = after
    publish(server, "kept")
    server.wait_for_workers_gone(server.reload())
    assert Publisher(server, "/publish").get_state()[1] == 1


def test_failed_reload_to_another_redis_leaves_the_memory(redis, nginx):
    """The reload fails late, when the new zone exists."""
    server = nginx(LOCATIONS, http="websocket_shared_memory 3m;")
    server.allow_errors("bind.* failed|still could not bind")
    publish(server, "kept")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        failing = (f"server {{ listen 127.0.0.1:{taken.getsockname()[1]}; }}"
                   f"{MARK}{directive(redis, 'a:')}")
        server.rewrite_config(MARK, failing)
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("still could not bind")
    wait_until(lambda: memories(server) == 1, seconds(5), "one memory")
    server.rewrite_config(failing, MARK)
    server.wait_for_workers_gone(server.reload())
    assert memories(server) == 1
    assert Publisher(server, "/publish").get_state()[1] == 1


@pytest.mark.parametrize("prefix", ["", "a:"], ids=["alone", "with Redis"])
def test_reload_loads_the_module(redis, nginx, prefix):
    server = nginx("location /plain { return 200; }", module=False)
    server.rewrite_config("daemon off;",
                          f"load_module {module_file()};\ndaemon off;")
    rewrite(server, redis, "", prefix)
    server.rewrite_config("location /plain { return 200; }", LOCATIONS)
    server.wait_for_workers_gone(server.reload())
    client = join(server, "/room")
    publish(server, "first")
    assert read_data(client) == ["first"]
    client.disconnect()


def fill(server):
    """Connects clients to rooms of their own until the shared memory is
    full."""
    clients = []
    while True:
        client = socket.create_connection(("127.0.0.1", server.port))
        name = f"{len(clients)}-{'x' * 200}"
        client.sendall(wire.upgrade_request(f"/rooms?name={name}"))
        if not client.recv(4096).startswith(b"HTTP/1.1 101"):
            client.close()
            return clients
        clients.append(client)


def test_worker_without_memory_for_redis_tries_again(redis, nginx):
    server = nginx(LOCATIONS + "location /rooms { websocket room $arg_name; }",
                   http="websocket_shared_memory 512k; websocket_drain 1h;"
                        f"websocket_redis {redis.url()};", connections=4096)
    server.allow_errors("no memory for a connection to Redis"
                        "|not in sync with the other hosts"
                        "|no memory for one more resource")
    clients = fill(server)
    server.rewrite_config("worker_processes 1;", "worker_processes 2;")
    old = server.worker_pids()
    server.send_signal(signal.SIGHUP)
    server.wait_for_log("no memory for a connection to Redis", timeout=20)
    for client in clients:
        client.close()
    server.wait_for_workers_gone(old, timeout=30)
    server.wait_for_log("this worker connects to Redis now", timeout=20)
    publish(server, "accepted")


# The same Redis and another memory

def check_that_rooms_go_on(server, replace):
    """A client that resumes after `replace()` gets what it missed."""
    earlier = [join(server, "/room") for _ in range(4)]
    publish(server, "seen")
    last = [read_type(client, "message") for client in earlier][0]["id"]
    publish(server, "missed")
    old = server.worker_pids()
    with replace():
        for each in earlier:
            assert read_data(each) == ["missed"]
            each.expect_close(1001)
            each.disconnect()
        server.wait_for_workers_gone(old)
        client = join(server, f"/room?since={last}")
        assert client.welcome["recovered"] is True
        publish(server, "next")
        assert read_data(client, 2) == ["missed", "next"]


def test_upgrade_with_redis_keeps_rooms(redis, nginx_daemon):
    server = nginx_daemon(LOCATIONS, http=directive(redis, "ws:"),
                          workers=2, main=PRELOADED)

    @contextlib.contextmanager
    def upgraded():
        with server.upgraded():
            server.send_signal(signal.SIGWINCH)
            yield
            server.send_signal(signal.SIGQUIT)
            server.wait_for_exit()

    check_that_rooms_go_on(server, upgraded)


def test_reload_to_another_size_with_redis_keeps_rooms(redis, nginx):
    server = nginx(LOCATIONS, http=directive(redis, "ws:")
                   + "websocket_shared_memory 2m;", workers=2)

    @contextlib.contextmanager
    def reloaded():
        server.rewrite_config("websocket_shared_memory 2m",
                              "websocket_shared_memory 3m")
        server.reload()
        yield

    check_that_rooms_go_on(server, reloaded)
