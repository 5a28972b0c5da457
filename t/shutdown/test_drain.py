"""The drain of an old worker: time and code of each client's Close, and service
until then."""

import re
import signal
import time

import pytest

import wire
from many_clients import ClientPool
from nginx_server import seconds, wait_until
from publish_client import Publisher
from room_client import join, read_data, send_text
from tuned_client import TIGHT_LISTEN, connect_tight, framed, numbered, \
    send_until_refused
from worker_probe import cpu_seconds, only_worker

LOCATIONS = """
location /echo { websocket echo; websocket_close_timeout 60s; }
location /quick { websocket echo; websocket_close_timeout 500ms; }
location /lively {
    websocket echo; websocket_ping_interval 100ms; websocket_timeout 1s;
}
location /room { websocket room $arg_k; }
location /publish { websocket_publish room $arg_k; }
"""
LONG = "websocket_drain 100s 4001;"


def quantiles_hold(pool, began, lasts):
    """Each client is closed at its turn or later, by less than half of `lasts`:
    the seconds in which all are closed."""
    closed = pool.closed()
    late = seconds(lasts / 2)
    for index, member in enumerate(closed):
        turn = began + lasts * index / len(closed)
        assert turn - 0.01 < member.closed < turn + late, (
            f"client {index} of {len(closed)}, {member.closed - began:.3f} s "
            f"after the signal instead of {turn - began:.3f}")


def codes(pool):
    return {member.code for member in pool.members}


# The directive

@pytest.mark.parametrize("value, message", [
    ("5", None), ("0", None), ("0s", None), ("1d 1000", None),
    ("500ms 1012", None), ("1m 3000", None), ("1s 4999", None),
    ("", "invalid number of arguments"),
    ("1s 1001 x", "invalid number of arguments"),
    ("soon", 'invalid value "soon".*expected a time, such as "30s"'),
    ("-1s", 'value "-1s"'), ("1x", 'value "1x"'),
    ("1s x", 'invalid value "x".*a close code that a server may send'),
    ("1s 999", 'value "999"'), ("1s 1004", 'value "1004"'),
    ("1s 1005", 'value "1005"'), ("1s 1006", 'value "1006"'),
    ("1s 1015", 'value "1015"'), ("1s 2000", 'value "2000"'),
    ("1s 5000", 'value "5000"'), ("1s 66537", 'value "66537"'),
    ("1s 99999999999999999999", "may send"),
    ("1s; websocket_drain 2s", "is duplicate"),
])
def test_directive_is_checked(nginx, value, message):
    passed, output = nginx.check(http=f"websocket_drain {value};")
    assert passed is (message is None), output
    if message:
        assert "websocket_drain" in output
        assert re.search(message, output), output


@pytest.mark.parametrize("level", ["server", "locations"])
def test_directive_is_for_the_http_level(nginx, level):
    passed, output = nginx.check(**{level: "websocket_drain 1s;"})
    assert not passed
    assert '"websocket_drain" directive is not allowed here' in output


@pytest.mark.alone
# Time and code

@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_clients_are_closed_evenly(nginx, tls, number):
    server = nginx(LOCATIONS, http="websocket_drain 4s 4001;", tls=tls)
    pid = only_worker(server)
    with ClientPool(server, 200, tls=tls) as pool:
        began = time.monotonic()
        server.send_signal(number)
        pool.wait_for_closed(200, seconds(8))
        pool.wait_for_ends()
        quantiles_hold(pool, began, 4)
        assert codes(pool) == {4001}
    if number == signal.SIGQUIT:
        server.wait_for_exit(4)
    server.wait_for_workers_gone([pid], timeout=4)
    server.wait_for_access_log(200, websocket_close_code=4001,
                               websocket_close_by="server")


def test_default_is_1001(nginx):
    server = nginx(LOCATIONS, http="websocket_drain 1s;")
    with ClientPool(server, 4) as pool:
        server.reload()
        pool.wait_for_closed(4)
        assert codes(pool) == {1001}


def test_lone_client_is_closed_at_once(nginx):
    server = nginx(LOCATIONS, http=LONG)
    client = server.connect()
    old = server.reload()
    client.expect_failure(4001, "shutting down")
    client.disconnect()
    server.wait_for_workers_gone(old, timeout=4)


def test_time_0_closes_all_at_once(nginx):
    server = nginx(LOCATIONS, http="websocket_drain 0 4001;")
    with ClientPool(server, 200) as pool:
        old = server.reload()
        pool.wait_for_ends()
        assert codes(pool) == {4001}
    server.wait_for_workers_gone(old, timeout=4)


@pytest.mark.alone
def test_each_worker_spreads_its_own_clients(nginx):
    server = nginx(LOCATIONS, http="websocket_drain 4s;", workers=2,
                   listen="reuseport")
    with ClientPool(server, 200) as pool:
        began = time.monotonic()
        old = server.reload()
        pool.wait_for_closed(200, seconds(8))
        pool.wait_for_ends()
        quantiles_hold(pool, began, 3.9)
    server.wait_for_workers_gone(old, timeout=4)


def test_fast_stop_gives_the_code_at_once(nginx):
    server = nginx(LOCATIONS, http=LONG)
    with ClientPool(server, 100) as pool:
        server.send_signal(signal.SIGTERM)
        pool.wait_for_ends()
        assert codes(pool) == {4001}
    server.wait_for_exit(4)


def test_fast_stop_during_the_drain_gives_the_code_at_once(nginx):
    server = nginx(LOCATIONS, http=LONG)
    with ClientPool(server, 100) as pool:
        server.send_signal(signal.SIGQUIT)
        pool.wait_for_closed(1)
        server.send_signal(signal.SIGTERM)
        pool.wait_for_ends()
        assert codes(pool) == {4001}
    server.wait_for_exit(4)


def test_without_a_master_all_are_closed_at_once(nginx):
    server = nginx(LOCATIONS, http=LONG, master=False)
    with ClientPool(server, 100) as pool:
        server.send_signal(signal.SIGQUIT)
        pool.wait_for_ends()
        assert codes(pool) == {4001}
    server.wait_for_exit(4)


@pytest.mark.alone
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_shutdown_timeout_shortens_the_drain(nginx, tls):
    server = nginx(LOCATIONS, main="worker_shutdown_timeout 6s;",
                   http="websocket_drain 100s 4001;", tls=tls)
    pid = only_worker(server)
    with ClientPool(server, 60, tls=tls, answers=False) as pool:
        began = time.monotonic()
        server.send_signal(signal.SIGHUP)
        pool.wait_for_closed(60, seconds(8))
        quantiles_hold(pool, began, 4.5)
        server.wait_for_workers_gone([pid], timeout=3)
        pool.wait_for_ends()
        assert codes(pool) == {4001}
    server.wait_for_access_log(60, websocket_close_code=4001)


def test_short_shutdown_timeout_still_sends_each_close(nginx):
    server = nginx(LOCATIONS, main="worker_shutdown_timeout 1ms;", http=LONG)
    with ClientPool(server, 300) as pool:
        old = server.reload()
        pool.wait_for_ends()
        assert codes(pool) == {4001}
    server.wait_for_workers_gone(old, timeout=4)


# The end of the worker

@pytest.mark.alone
def test_silent_clients_delay_the_exit_by_the_close_timeout(nginx):
    server = nginx(LOCATIONS, http="websocket_drain 2s;")
    pid = only_worker(server)
    with ClientPool(server, 20, "/quick", answers=False) as pool:
        began = time.monotonic()
        server.send_signal(signal.SIGHUP)
        pool.wait_for_ends()
        quantiles_hold(pool, began, 2)
        for turn, member in enumerate(pool.closed()):
            assert member.ended - began > 2 * turn / 20 + 0.48
    server.wait_for_workers_gone([pid], timeout=1)


def test_clients_that_do_not_read_delay_the_exit_no_longer(nginx):
    server = nginx(LOCATIONS, http="websocket_drain 500ms;",
                   listen=TIGHT_LISTEN)
    for _ in range(4):
        client = connect_tight(server, "/quick")
        send_until_refused(client, framed(numbered(4000, 1000)), 0.1)
    old = server.reload()
    server.wait_for_workers_gone(old, timeout=4)
    server.wait_for_access_log(4, websocket_close_code=1001)


def test_worker_exits_when_all_clients_have_left(nginx):
    server = nginx(LOCATIONS, http=LONG)
    with ClientPool(server, 100) as pool:
        old = server.reload()
        pool.wait_for_closed(1)
        assert old[0] in server.worker_pids()
        pool.leave()
        server.wait_for_workers_gone(old, timeout=4)


def test_clients_that_leave_do_not_hasten_other_closes(nginx):
    server = nginx(LOCATIONS, http=LONG)
    with ClientPool(server, 100) as pool:
        first = pool.members[0]
        old = server.reload()
        pool.wait_for_closed(1)
        assert pool.closed() == [first]
        pool.leave(99)
        server.wait_for_access_log(99)
        assert not pool.closed()
        pool.leave()
        server.wait_for_workers_gone(old, timeout=4)


@pytest.mark.alone
def test_draining_worker_does_not_spin(nginx):
    server = nginx(LOCATIONS, http=LONG, listen=TIGHT_LISTEN)
    full = connect_tight(server)
    send_until_refused(full, framed(numbered(4000, 1000)), 0.1)
    with ClientPool(server, 200) as pool:
        pid = server.reload()[0]
        pool.wait_for_closed(1)
        before, until = cpu_seconds(pid), time.monotonic() + 1
        wait_until(lambda: time.monotonic() > until, 5, "a second")
        assert cpu_seconds(pid) - before < 0.05
        assert pid in server.worker_pids()


# Clients are served until their turn

@pytest.fixture(name="draining")
def draining_fixture(nginx):
    """Connects clients and reloads. The first client is closed, the others
    wait."""
    def drain(count, connect, **options):
        server = nginx(LOCATIONS, http=LONG, **options)
        clients = [connect(server) for _ in range(count)]
        old = server.reload()
        while clients[0].read_frame().opcode != wire.CLOSE:
            pass
        clients[0].disconnect()
        return server, clients[1:], old
    return drain


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_messages_are_answered(draining, tls):
    server, clients, old = draining(
        5, lambda server: server.connect(tls=tls), tls=tls)
    for client in clients:
        for message in numbered(20, 1000):
            client.text(message)
            client.expect_text(message)
        client.send(wire.fragments(wire.BINARY, b"a" * 70000, b"b" * 70000))
        client.expect_binary(b"a" * 70000 + b"b" * 70000)
        client.expect_alive()
        client.disconnect()
    server.wait_for_workers_gone(old, timeout=4)


def test_pings_are_sent_and_silence_is_noticed(draining):
    server, clients, old = draining(
        3, lambda server: server.connect("/lively"))
    for _ in range(12):
        frame = clients[0].read_frame()
        assert frame.opcode == wire.PING, frame
        clients[0].send(wire.pong(frame.payload))
    while (frame := clients[1].read_frame()).opcode == wire.PING:
        pass
    assert frame.close_code == 1001
    assert "nothing received" in frame.close_reason
    clients[1].disconnect()
    clients[0].disconnect()
    server.wait_for_workers_gone(old, timeout=4)


def test_rooms_span_old_and_new_workers(draining):
    server, clients, old = draining(
        3, lambda server: join(server, "/room?k=1"))
    late = join(server, "/room?k=1")
    send_text(late, "from the new worker")
    send_text(clients[0], "from the old one")
    for client in [*clients, late]:
        assert set(read_data(client, 2)) == {"from the new worker",
                                             "from the old one"}
    Publisher(server, "/publish?k=1").post("over HTTP", clients=3)
    for client in [*clients, late]:
        assert read_data(client) == ["over HTTP"]
    for client in clients:
        client.disconnect()
    server.wait_for_workers_gone(old, timeout=4)


def test_client_may_be_closed_for_another_reason(draining):
    server, clients, old = draining(3, lambda server: server.connect())
    clients[0].send(wire.frame(3))
    clients[0].expect_failure(1002)
    clients[0].disconnect()
    clients[1].half_close()
    clients[1].expect_eof()
    server.wait_for_workers_gone(old, timeout=4)


# Several generations

def test_each_generation_has_its_own_time_and_code(nginx):
    server = nginx(LOCATIONS, http="websocket_drain 100s 4001;")
    generations = []
    for code in (4001, 4002, 4003):
        generations.append([server.connect() for _ in range(3)])
        if code != 4003:
            server.rewrite_config(f"100s {code}", f"100s {code + 1}")
            server.reload()
            generations[-1].pop(0).expect_failure(code)
    for clients in generations:
        for client in clients:
            client.expect_alive()
    assert len(server.worker_pids()) == 3
    server.send_signal(signal.SIGTERM)
    for code, clients in zip((4001, 4002, 4003), generations):
        for client in clients:
            client.expect_close(code)
            client.expect_eof()
    server.wait_for_exit(4)


def test_generations_drain_side_by_side(nginx):
    server = nginx(LOCATIONS, http="websocket_drain 1s 4001;")
    with ClientPool(server, 50) as first:
        server.reload()
        with ClientPool(server, 50) as second:
            server.reload()
            first.wait_for_ends()
            second.wait_for_ends()
    wait_until(lambda: len(server.worker_pids()) == 1, seconds(3),
               "the end of the old workers")


def test_failed_reload_closes_no_client(nginx):
    server = nginx(LOCATIONS, http=LONG)
    server.allow_errors("close code that a server may send")
    client = server.connect()
    server.rewrite_config("100s 4001", "100s 1005")
    server.send_signal(signal.SIGHUP)
    server.wait_for_log("close code that a server may send")
    client.expect_alive()
