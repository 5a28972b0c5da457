"""Reload, quit and fast stop while clients are connected."""

import contextlib
import signal
import time

import pytest

import wire
from nginx_server import seconds, wait_until
from raw_client import ConnectionWasReset, EndOfStream
from tuned_client import (TIGHT_LISTEN, connect_blocking, connect_tight,
                          framed, numbered, send_until_refused)
from worker_probe import cpu_seconds, only_worker, stopped

QUICK = "location /echo { websocket echo; websocket_close_timeout 1s; }"
PATIENT = "location /echo { websocket echo; websocket_close_timeout 60s; }"
MANY = 1000

# These tests are about the Close of each client; test_drain.py is about its
# time.
AT_ONCE = {"http": "websocket_drain 0;"}


def answer_going_away(client):
    """The server sends Close 1001, the client replies, the connection ends."""
    client.expect_close(1001, "shutting down")
    client.close(1001)
    client.expect_eof()
    client.disconnect()


def closed_by(server, count):
    """The initiator and the code of the last `count` closes."""
    server.wait_for_access_log(count)
    entries = server.access_log()
    assert len(entries) == count
    return {(entry["websocket_close_by"], entry["websocket_close_code"])
            for entry in entries}


# Reload

def test_reload_sends_clients_to_new_workers(nginx):
    server = nginx(QUICK, workers=2, **AT_ONCE)
    clients = [server.connect() for _ in range(20)]
    for index, client in enumerate(clients):
        client.text(str(index))
        client.expect_text(str(index))
    old = server.reload()
    for client in clients:
        answer_going_away(client)
    server.wait_for_workers_gone(old, timeout=2)
    late = server.connect()
    late.text("new")
    late.expect_text("new")
    assert closed_by(server, 20) == {("server", "1001")}


def test_messages_sent_before_the_reload_are_answered(nginx):
    server = nginx(QUICK)
    messages = numbered(2000, 100)
    client = server.connect()
    client.send(framed(messages), duplex=False)
    client.wait_until_read()
    server.reload()
    for message in messages:
        client.expect_text(message)
    answer_going_away(client)


def test_messages_after_the_close_are_ignored(nginx):
    server = nginx(QUICK)
    client = server.connect()
    old = server.reload()
    client.expect_close(1001)
    client.send(wire.text("late") + wire.ping("late"))
    client.close(1000)
    client.expect_eof()
    client.disconnect()
    server.wait_for_workers_gone(old, timeout=2)


def test_client_that_never_answers_holds_its_worker_for_a_time(nginx):
    server = nginx(QUICK)
    client = server.connect()
    began = time.monotonic()
    old = server.reload()
    client.expect_close(1001)
    client.expect_eof()
    server.wait_for_workers_gone(old, timeout=4)
    assert time.monotonic() - began >= 0.98
    assert closed_by(server, 1) == {("server", "1001")}


def test_old_worker_that_waits_does_not_spin(nginx):
    server = nginx("location /echo { websocket echo;"
                   " websocket_close_timeout 2s; }", listen=TIGHT_LISTEN,
                   **AT_ONCE)
    pid = only_worker(server)
    full = connect_tight(server)
    send_until_refused(full, framed(numbered(4000, 1000)), 0.1)
    clients = [full] + [server.connect() for _ in range(20)]
    clients[1].send(wire.header(wire.BINARY, 1000) + bytes(10))
    clients[2].send(wire.text("unfinished", fin=False))
    old = server.reload()
    for client in clients[1:]:
        client.expect_close(1001)
    before = cpu_seconds(pid)
    clients[1].expect_nothing(1)
    assert pid in server.worker_pids()
    assert cpu_seconds(pid) - before < 0.05
    server.wait_for_workers_gone(old, timeout=4)


def test_two_reloads_in_a_row_end_all_old_workers(nginx):
    server = nginx(QUICK)
    first = server.connect()
    oldest = server.reload()
    second = server.connect()
    older = [pid for pid in server.worker_pids() if pid not in oldest]
    server.send_signal(signal.SIGHUP)
    server.wait_for_log(rf"{older[0]}#\d+: gracefully shutting down")
    third = server.connect()
    for client in (first, second):
        answer_going_away(client)
    server.wait_for_workers_gone(oldest + older, timeout=2)
    third.expect_alive()


def test_reload_sends_each_of_many_clients_a_close(nginx):
    server = nginx(PATIENT, **AT_ONCE)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect_blocking(server))
                   for _ in range(MANY)]
        pid = only_worker(server)
        before = cpu_seconds(pid)
        server.send_signal(signal.SIGHUP)
        for client in clients:
            frame, _ = wire.parse_frame(client.recv(200))
            assert (frame.opcode, frame.close_code) == (wire.CLOSE, 1001)
        assert cpu_seconds(pid) - before < seconds(1)
        for client in clients:
            client.sendall(wire.close(1001))
            assert client.recv(1) == b""
    server.wait_for_workers_gone([pid], timeout=5)
    assert closed_by(server, MANY) == {("server", "1001")}


# Upgrades during the shutdown

def test_upgrade_gets_503_during_shutdown(nginx):
    server = nginx(QUICK)
    holder = server.connect()
    client = server.open()
    request = wire.upgrade_request()
    client.send(request[:40])
    client.wait_until_read()
    old = server.reload()
    client.send(request[40:])
    assert client.read_response().status == 503
    server.wait_for_log("refused with 503")
    client.disconnect()
    answer_going_away(holder)
    server.wait_for_workers_gone(old, timeout=2)


def test_upgrade_after_a_body_gets_503_during_shutdown(nginx):
    server = nginx(QUICK)
    client = server.open()
    client.send(wire.upgrade_request(headers=[("Content-Length", "4")])
                + b"bo")
    client.wait_until_read()
    old = server.reload()
    client.send(b"dy")
    assert client.read_response().status == 503
    client.disconnect()
    server.wait_for_workers_gone(old, timeout=2)


# Quit

@pytest.mark.parametrize("master", [True, False],
                         ids=["master", "single-process"])
def test_quit_sends_closes_and_logs_them(nginx, master):
    server = nginx(QUICK, master=master, **AT_ONCE)
    clients = [server.connect() for _ in range(50)]
    server.send_signal(signal.SIGQUIT)
    for client in clients:
        client.expect_close(1001)
        client.close(1001)
        client.expect_eof()
        client.disconnect()
    server.wait_for_exit(5)
    assert closed_by(server, 50) == {("server", "1001")}


def test_quit_without_answers_ends_in_time(nginx):
    server = nginx(QUICK, **AT_ONCE)
    for _ in range(20):
        server.connect()
    server.send_signal(signal.SIGQUIT)
    server.wait_for_exit(4)
    assert closed_by(server, 20) == {("server", "1001")}


def test_quit_with_full_queues_ends_in_time(nginx):
    server = nginx(QUICK, listen=TIGHT_LISTEN, **AT_ONCE)
    for _ in range(5):
        client = connect_tight(server)
        send_until_refused(client, framed(numbered(4000, 1000)), 0.1)
    server.send_signal(signal.SIGQUIT)
    server.wait_for_exit(5)
    assert closed_by(server, 5) == {("server", "1001")}


def test_quit_gives_late_reader_all_replies_before_the_close(nginx):
    server = nginx(QUICK, listen=TIGHT_LISTEN)
    messages = numbered(200, 1000)
    client = connect_tight(server)
    client.send(framed(messages), duplex=False)
    client.wait_until_read()
    server.send_signal(signal.SIGQUIT)
    server.wait_for_log("gracefully shutting down")
    for message in messages:
        client.expect_text(message)
    answer_going_away(client)
    server.wait_for_exit(5)


def test_quit_during_our_own_close_ends_in_time(nginx):
    server = nginx(QUICK)
    lingering, failed = server.connect(), server.connect()
    lingering.close(1000)
    lingering.expect_close(1000)
    failed.send(wire.frame(3))
    failed.expect_close(1002)
    server.send_signal(signal.SIGQUIT)
    server.wait_for_exit(4)
    assert closed_by(server, 2) == {("client", "1000"), ("error", "1002")}


# Fast stop: the worker does not wait for replies

@pytest.mark.parametrize("master", [True, False],
                         ids=["master", "single-process"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_fast_stop_sends_closes_and_logs_them(nginx, number, master):
    server = nginx(QUICK, master=master)
    clients = [server.connect() for _ in range(50)]
    clients[0].send(wire.text("unfinished", fin=False))
    clients[0].wait_until_read()
    server.send_signal(number)
    for client in clients:
        client.expect_close(1001)
        client.expect_eof()
    server.wait_for_exit(2)
    assert closed_by(server, 50) == {("server", "1001")}


def test_fast_stop_with_full_queues_ends_in_time(nginx):
    server = nginx(QUICK, listen=TIGHT_LISTEN)
    for _ in range(5):
        client = connect_tight(server)
        send_until_refused(client, framed(numbered(4000, 1000)), 0.1)
    server.send_signal(signal.SIGTERM)
    server.wait_for_exit(2)
    assert closed_by(server, 5) == {("server", "1001")}


@pytest.mark.parametrize("count", [100, 1000])
def test_fast_stop_sends_closes_to_clients_with_unread_input(nginx, count):
    server = nginx(QUICK, master=False, listen="rcvbuf=4m sndbuf=4m")
    messages = numbered(count, 1000)
    clients = [server.connect() for _ in range(3)]
    with stopped(server.pid):
        for client in clients:
            client.send(framed(messages), duplex=False)
        server.send_signal(signal.SIGTERM)
    server.wait_for_exit(2)
    for client in clients:
        answered = 0
        while (frame := client.read_frame()).opcode == wire.TEXT:
            assert frame.payload.decode() == messages[answered]
            answered += 1
        assert (frame.opcode, frame.close_code) == (wire.CLOSE, 1001)
        client.expect_eof()


def test_fast_stop_over_tls_sends_closes(nginx):
    server = nginx(QUICK, tls=True)
    clients = [server.connect(tls=True) for _ in range(10)]
    server.send_signal(signal.SIGTERM)
    for client in clients:
        client.expect_close(1001)
        client.expect_eof()
    server.wait_for_exit(2)


def test_fast_stop_during_a_graceful_one_ends_at_once(nginx):
    server = nginx(PATIENT)
    client = server.connect()
    server.send_signal(signal.SIGQUIT)
    client.expect_close(1001)
    server.send_signal(signal.SIGTERM)
    client.expect_eof()
    server.wait_for_exit(2)
    assert closed_by(server, 1) == {("server", "1001")}


# worker_shutdown_timeout

@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_shutdown_timeout_ends_clients_that_do_not_answer(nginx, tls):
    server = nginx(PATIENT, main="worker_shutdown_timeout 300ms;", tls=tls)
    clients = [server.connect(tls=tls) for _ in range(10)]
    old = server.reload()
    for client in clients:
        client.expect_close(1001)
    server.wait_for_workers_gone(old, timeout=3)
    for client in clients:
        client.expect_eof()
    assert closed_by(server, 10) == {("server", "1001")}


def test_shutdown_timeout_ends_clients_with_full_queues(nginx):
    server = nginx(PATIENT, main="worker_shutdown_timeout 300ms;",
                   listen=TIGHT_LISTEN)
    client = connect_tight(server)
    send_until_refused(client, framed(numbered(4000, 1000)), 0.1)
    old = server.reload()
    server.wait_for_workers_gone(old, timeout=3)
    assert closed_by(server, 1) == {("server", "1001")}


# Death

def test_killed_worker_is_replaced(nginx):
    server = nginx(QUICK)
    server.allow_errors(r"exited on signal 9")
    client, pid = server.connect(), only_worker(server)
    server.send_signal(signal.SIGKILL, pid)
    with pytest.raises((EndOfStream, ConnectionWasReset)):
        client.read_frame()
    wait_until(lambda: server.serving_pid() not in (None, pid), seconds(5),
               "the new worker")
    server.connect().expect_alive()
