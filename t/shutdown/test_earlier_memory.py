"""Workers in the memory of an earlier configuration. If one of them dies there,
nginx's master does not free its lock."""

import os
import signal

from nginx_server import faulty_module_file, seconds, wait_until
from worker_picking import REUSEPORT, on_each_worker
from worker_probe import state

MEMORY = "websocket_shared_memory {};"


def test_worker_killed_with_the_lock_stops_no_other(nginx):
    server = nginx(
        "location /room { websocket room all; }", workers=2, module=False,
        http=MEMORY.format("1m") + "websocket_drain 1h;",
        main=f"load_module {faulty_module_file()};"
             " env WEBSOCKET_DIE_AT=entry.linked:30;",
        **REUSEPORT)
    server.allow_errors("exited on signal 9")
    # The first client of each worker gets its Close at once
    pairs = [on_each_worker(server, "/room") for _ in range(3)]
    old = set(server.worker_pids())
    server.rewrite_config(MEMORY.format("1m"), MEMORY.format("2m"))
    server.send_signal(signal.SIGHUP)
    wait_until(lambda: len(set(server.worker_pids()) - old) == 2,
               seconds(20), "new workers")
    for client in pairs[0]:
        client.expect_close(1001)
        client.disconnect()
    (victim, writer), (_, reader) = pairs[1:]
    for number in range(29):
        victim.text(f"{number}")
    for number in range(29):
        reader.expect_text(f"{number}")
    victim.text("the last word")
    wait_until(lambda: "exited on signal 9" in server.log(), seconds(10),
               "a dead worker")
    writer.text("after it")
    for text in iter(lambda: reader.read_frame().payload.decode(), "after it"):
        assert text == "the last word"


def test_worker_killed_while_the_master_reads_stops_no_other(nginx, tmp_path):
    """The master handles the death when it uses the new configuration already
    and another worker waits for the lock."""
    included = tmp_path / "included.conf"
    included.touch()
    server = nginx(
        "location /room { websocket room all; }", workers=2, module=False,
        http=f"include {included}; {MEMORY.format('1m')} websocket_drain 1h;",
        main=f"load_module {faulty_module_file()};"
             " env WEBSOCKET_DIE_AT=entry.linked:3;",
        **REUSEPORT)
    server.allow_errors("exited on signal 9")
    # The first client of each worker gets its Close at once
    first, (victim, other) = [on_each_worker(server, "/room")
                              for _ in range(2)]
    killed = min(server.worker_pids())
    for text in ("1", "2"):
        victim.text(text)
        for client in (*first, victim, other):
            client.expect_text(text)
    server.rewrite_config(MEMORY.format("1m"), MEMORY.format("2m"))
    included.unlink()
    os.mkfifo(included)
    mark = server.log_size()
    server.send_signal(signal.SIGHUP)
    server.wait_for_log("reconfiguring", since=mark)
    victim.text("3")
    wait_until(lambda: state(killed) == "Z", seconds(10), "a dead worker")
    other.text("4")
    other.wait_until_read()
    with open(included, "wb"):
        pass
    assert [other.read_frame().payload for _ in range(2)] == [b"3", b"4"]
    included.unlink()
    included.touch()
