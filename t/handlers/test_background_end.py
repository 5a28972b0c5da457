"""Work in threads while a worker exits."""

import os
import signal

import pytest

import plugin_builder
from nginx_server import seconds, wait_until

LOCATION = ("location ~ ^/jobs/(?<room>.+)$ {"
            "  websocket worker $room gate=%%PREFIX%%/gate; }")
STILL_RUNNING = "websocket: 1 background jobs are still running"


@pytest.fixture
def serve(nginx):
    """Starts a server whose jobs "slow" block until the gate is open."""
    def start(**options):
        plugin = plugin_builder.build_file("background.cpp")
        http = options.pop("http", "")
        return nginx(LOCATION, http=f"websocket_plugin {plugin};{http}",
                     **options)
    return start


def gate_file(server, end=""):
    return os.path.join(server.prefix, "gate" + end)


def open_gate(server):
    with open(gate_file(server), "w", encoding="ascii"):
        pass


def begin_slow(server, room="a", begun=1):
    """Connects a client whose job runs in a thread."""
    client = server.connect(f"/jobs/{room}")
    client.text("slow")
    wait_until(lambda: server.size("gate.begun") == begun, seconds(5),
               "a job at work")
    return client


def expect_goodbye(client):
    """Reads the server's Close, without waiting for the end of the
    connection."""
    client.expect_close(1001, "shutting down")


def leave(client):
    """Answers the Close and disconnects."""
    client.close(1001)
    client.expect_eof()
    client.disconnect()


def logged_closes(server):
    """The initiator and the code of each close in the access log."""
    return [(entry["websocket_close_by"], entry["websocket_close_code"])
            for entry in server.access_log()]


@pytest.mark.parametrize("master", [True, False])
def test_fast_stop_waits_for_no_job(serve, master):
    server = serve(master=master)
    clients = [begin_slow(server), server.connect("/jobs/b")]
    server.send_signal(signal.SIGTERM)
    for client in clients:
        expect_goodbye(client)
    server.wait_for_exit()
    assert logged_closes(server) == [("server", "1001")] * 2
    assert STILL_RUNNING in server.log()
    # The resource without a running job.
    assert 'websocket: worker "b": destroyed' in server.log()
    assert 'websocket: worker "a": destroyed' not in server.log()
    if master:
        assert "exited with code 0" in server.log()


def test_quit_without_a_master_waits_for_no_job(serve):
    server = serve(master=False)
    client = begin_slow(server)
    server.send_signal(signal.SIGQUIT)
    expect_goodbye(client)
    server.wait_for_exit()
    assert logged_closes(server) == [("server", "1001")]
    assert STILL_RUNNING in server.log()


def test_jobs_that_wait_for_a_thread_are_not_begun_by_a_stop(serve):
    server = serve(main="thread_pool default threads=1;")
    client = begin_slow(server)
    for _ in range(20):
        client.text("slow")
    client.expect_alive()
    server.send_signal(signal.SIGTERM)
    expect_goodbye(client)
    server.wait_for_exit()
    assert server.size("gate.begun") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("master", [True, False])
def test_job_of_a_client_that_leaves_at_the_end(serve, master, number):
    """During a stop no thread starts the job. During a graceful exit one does,
    and the worker waits for its end."""
    server = serve(master=master, http="websocket_drain 60s;")
    client = server.connect("/jobs/leaves")
    open_gate(server)
    server.send_signal(number)
    expect_goodbye(client)
    client.close(1001)
    server.wait_for_exit()
    if master and number == signal.SIGQUIT:
        assert "job taken" in server.log()
        assert 'websocket: worker "leaves": left' in server.log()
    else:
        assert "job refused" in server.log()
    assert 'websocket: worker "leaves": destroyed' in server.log()


def test_reload_lets_a_job_end(serve):
    server = serve(http="websocket_drain 60s;")
    client = begin_slow(server)
    old = server.reload()
    expect_goodbye(client)
    leave(client)
    server.connect("/jobs/a").expect_alive()
    assert old[0] in server.worker_pids()
    open_gate(server)
    server.wait_for_workers_gone(old)
    assert 'websocket: worker "a": done slow' in server.log()


def test_job_that_does_not_end_delays_a_reload_by_the_drain(serve):
    server = serve(http="websocket_drain 1s;")
    client = begin_slow(server)
    old = server.reload()
    expect_goodbye(client)
    leave(client)
    server.wait_for_workers_gone(old, timeout=4)
    server.wait_for_log(f"{old[0]}#.*{STILL_RUNNING}")
    assert logged_closes(server) == [("server", "1001")]
    server.connect("/jobs/a").expect_alive()


def test_jobs_without_end_do_not_keep_a_worker(serve):
    """Each job begins the next one."""
    server = serve(http="websocket_drain 1s;")
    client = server.connect("/jobs/chain")
    client.text("again")
    client.expect_text("aside again")
    old = server.reload()
    expect_goodbye(client)
    leave(client)
    server.wait_for_workers_gone(old, timeout=4)


@pytest.mark.parametrize("job", [True, False])
def test_last_lines_of_a_buffered_access_log_are_written(serve, job):
    server = serve(
        http="access_log %%PREFIX%%/buffered.log combined buffer=64k;")
    clients = [server.connect("/jobs/b") for _ in range(3)]
    if job:
        clients.append(begin_slow(server))
    server.send_signal(signal.SIGTERM)
    for client in clients:
        expect_goodbye(client)
    server.wait_for_exit()
    lines = server.read("buffered.log").splitlines()
    assert sum('" 101 ' in line for line in lines) == len(clients)


def test_stop_ends_the_worker_before_the_master_kills_it(serve):
    """All threads of the pool are busy, and more jobs wait."""
    server = serve(main="thread_pool default threads=4;")
    client = server.connect("/jobs/a")
    for _ in range(8):
        client.text("slow")
    wait_until(lambda: server.size("gate.begun") == 4, seconds(5),
               "four jobs at work")
    pid = server.worker_pids()[0]
    server.send_signal(signal.SIGTERM)
    expect_goodbye(client)
    server.wait_for_exit()
    assert f"worker process {pid} exited with code 0" in server.log()
