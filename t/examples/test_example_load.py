"""examples/load: clients that request samples of the machine's load get them at
the requested interval."""

import json
import os
import signal
import subprocess
import sys

import pytest

import wire
from load_client import LOADED, LOCATIONS, Viewer, start, watch
from nginx_server import seconds

MEBIBYTE = 1 << 20


@pytest.fixture
def server(nginx):
    return nginx(LOCATIONS, **LOADED)


# Parameters

@pytest.mark.parametrize("interval", ["", "0", "99", "60001", "-500", "1e3",
                                      "0.5", "500ms", "99999999999999999999"])
def test_wrong_interval_fails_the_check_with_a_message(nginx, interval):
    passed, output = nginx.check(
        "location / { websocket system_load interval=%s; }" % interval,
        **LOADED)
    assert not passed
    assert (f'"websocket" directive: interval={interval} is not a number of'
            " milliseconds from 100 to 60000") in output


def test_missing_network_interface_fails_the_check_with_a_message(nginx):
    passed, output = nginx.check(
        "location / { websocket system_load network=absent0; }", **LOADED)
    assert not passed
    assert 'there is no network interface "absent0"' in output


@pytest.mark.parametrize("given, used", [
    ("", 1000), ("interval=100", 100), ("interval=60000", 60000),
    ("interval=250", 300),
])
def test_interval_of_the_location_is_the_one_to_start_with(nginx, given, used):
    server = nginx("location / { websocket system_load %s; }" % given,
                   **LOADED)
    assert watch(server, "/").settings == {
        "type": "settings", "interval": used, "paused": False,
        "shortest": 100, "longest": 60000}


# Samples

def test_samples_match_the_kernels_values(server):
    viewer = watch(server, "/load")
    sample = viewer.next("sample")
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = {line.split(":")[0]: int(line.split()[1]) * 1024
                  for line in file}
    assert sample["memory"]["total"] == memory["MemTotal"]
    assert sample["swap"]["total"] == memory["SwapTotal"]
    assert 0 < sample["memory"]["used"] < memory["MemTotal"]
    with open("/proc/stat", encoding="ascii") as file:
        cores = sum(line.startswith("cpu") for line in file) - 1
    assert len(sample["cpu"]["cores"]) == cores
    average = sum(sample["cpu"]["cores"]) / cores
    assert sample["cpu"]["all"] == pytest.approx(average, abs=10)
    for share in [sample["cpu"]["all"], *sample["cpu"]["cores"]]:
        assert 0 <= share <= 100
    assert len(sample["load"]) == 3
    assert sample["load"] == pytest.approx(os.getloadavg(), abs=1)
    assert sample["processes"]["threads"] >= 2
    assert sample["processes"]["all"] >= 2
    assert sample["processes"]["running"] >= 1


def test_each_sample_begins_where_the_last_one_ended(server):
    samples = watch(server).samples(10)
    for before, sample in zip(samples, samples[1:]):
        assert sample["time"] > before["time"]
        assert start(sample) == pytest.approx(before["time"], abs=2)
        assert sample["skipped"] == 0


def test_work_memory_and_processes_show(server):
    viewer = watch(server)
    before = viewer.next("sample")
    program = ("import sys; block = bytearray(b'x') * (200 << 20);"
               "print(flush=True)\nwhile True: pass")
    with subprocess.Popen([sys.executable, "-c", program],
                          stdout=subprocess.PIPE) as burner:
        idle = []
        try:
            assert burner.stdout.readline()
            idle = [subprocess.Popen(["cat"], stdin=subprocess.PIPE)
                    for _ in range(30)]
            viewer.sample_until(lambda now: sum(now["cpu"]["cores"]) > 60)
            viewer.sample_until(lambda now: now["memory"]["used"]
                                > before["memory"]["used"] + 100 * MEBIBYTE)
            viewer.sample_until(lambda now: now["processes"]["all"]
                                > before["processes"]["all"] + 15)
        finally:
            burner.kill()
            for process in idle:
                process.communicate()


def test_bytes_over_the_network_are_counted(server):
    viewer = watch(server)
    viewer.next("sample")
    noise = server.connect("/echo")
    noise.binary(bytes(MEBIBYTE))
    noise.expect_binary(bytes(MEBIBYTE))
    counted = {"in": 0, "out": 0}

    def enough(sample):
        for way in counted:
            counted[way] += sample["network"][way] * sample["period"] / 1000
        return min(counted.values()) > 1.9 * MEBIBYTE

    viewer.sample_until(enough)


# Intervals

def test_clients_choose_their_own_intervals(server):
    quick, slow = watch(server), watch(server)
    short = round(seconds(200))
    assert quick.ask(f"interval {short}")["interval"] == short
    assert slow.ask(f"interval {3 * short}")["interval"] == 3 * short
    slow.samples(2)
    wanted = slow.samples(4)
    first, last = wanted[0]["time"], wanted[-1]["time"]
    samples = [quick.sample_until(lambda now: now["time"] >= first)]
    while samples[-1]["time"] < last:
        samples.append(quick.next("sample"))
    # Both get the same readings, but one of them gets more.
    times = [sample["time"] for sample in samples]
    assert set(times) >= {sample["time"] for sample in wanted}
    assert len(wanted) + 2 <= len(times) <= 3 * len(wanted) - 2
    assert last - first == pytest.approx(3 * 3 * short, abs=short)


@pytest.mark.parametrize("asked, used", [("100", 100), ("101", 200),
                                         ("0000", None), ("000100", 100),
                                         ("60000", 60000)])
def test_interval_is_rounded_up_to_what_readings_allow(server, asked, used):
    answer = watch(server).ask(f"interval {asked}")
    assert answer.get("interval") == used


def test_client_that_asks_again_and_again_does_not_hold_up_others(server):
    calm, restless = watch(server), watch(server)
    calm.next("sample")
    for turn in range(200):
        restless.client.text(f"interval {(turn % 3 + 1) * 100}")
        restless.client.text("pause" if turn % 2 else "resume")
    times = [sample["time"] for sample in calm.samples(10)]
    assert times[-1] - times[0] == pytest.approx(900, abs=seconds(400))


@pytest.mark.parametrize("command", [
    "", " ", "interval", "interval ", "interval x", "interval 99",
    "interval 60001", "interval -100", "interval 100 200", "interval  100",
    "Interval 100", "pause now", "resume\n", "stop", '{"interval":100}',
    "interval \N{DIGIT ONE}\N{FULLWIDTH DIGIT ZERO}00",
])
def test_unknown_commands_are_answered_with_an_error(server, command):
    viewer = watch(server)
    answer = viewer.ask(command)
    assert answer["type"] == "error"
    assert '"interval N", with N from 100 to 60000' in answer["message"]
    assert viewer.ask("resume") == viewer.settings


def test_long_command_is_not_waited_for(server):
    client = server.connect("/load")
    viewer = Viewer(client)
    viewer.next("settings"), viewer.next("history")
    client.send(wire.header(wire.TEXT, 65))
    client.expect_close(1009)


def test_binary_message_is_refused(server):
    client = watch(server, "/load").client
    client.binary(b"pause")
    client.expect_close(1003)


# Pausing

def test_client_that_pauses_gets_no_samples_until_it_resumes(server):
    pausing, other = watch(server), watch(server)
    pausing.samples(2)
    assert pausing.ask("pause")["paused"] is True
    assert pausing.ask("pause")["paused"] is True
    latest = other.samples(5)[-1]
    pausing.client.expect_alive()
    assert pausing.ask("interval 200") == {**pausing.settings, "paused": True,
                                           "interval": 200}
    latest = other.next("sample")
    assert pausing.ask("resume")["paused"] is False
    resumed = pausing.next("sample")
    assert start(resumed) >= latest["time"] - 2, "its period is too long"
    assert resumed["skipped"] == 0


# History

def test_new_client_gets_the_last_minute(server):
    first = watch(server)
    assert first.history["samples"] == []
    assert first.ask("interval 1000")["interval"] == 1000
    known = first.samples(3)
    samples = watch(server).history["samples"]
    assert [sample["time"] for sample in samples[-2:]] == [
        sample["time"] for sample in known[-2:]]
    del known[-1]["type"], known[-1]["skipped"]
    assert samples[-1] == known[-1]


# Ends

def test_reload_hands_over(server):
    old = watch(server)
    old.next("sample")
    workers = server.reload()
    new = watch(server)
    while (frame := old.client.read_frame()).opcode == wire.TEXT:
        assert json.loads(frame.payload)["type"] == "sample"
    assert (frame.opcode, frame.close_code) == (wire.CLOSE, 1001)
    old.client.close(1001)
    old.client.expect_eof()
    old.client.disconnect()
    server.wait_for_workers_gone(workers)
    assert new.samples(2)


def test_quit_while_readings_are_taken(nginx):
    server = nginx(LOCATIONS, http=LOADED["http"] + " websocket_drain 0;")
    viewers = [watch(server) for _ in range(10)]
    viewers[0].samples(2)
    server.send_signal(signal.SIGQUIT)
    for viewer in viewers:
        while (frame := viewer.client.read_frame()).opcode == wire.TEXT:
            pass
        assert (frame.opcode, frame.close_code) == (wire.CLOSE, 1001)
        viewer.client.close(1001)
    server.wait_for_exit(10)
