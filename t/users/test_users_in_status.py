"""The status shows how many users the clients of each handler are."""

import os
import signal

from room_client import join
from rooms_client import connect
from status_reader import report_of, request, wait_for_report
from worker_picking import REUSEPORT, wait_for_other_worker, worker_of

LOCATIONS = """
location /room { websocket_user $arg_user; websocket room lobby; }
location /rooms { websocket_user $arg_user; websocket rooms;
                  websocket_rooms *; }
location = /status { websocket_status; }
"""


def users(report):
    return {each["name"]: each["users"] for each in report["handlers"]}


def wait_for_users(server, **expected):
    wait_for_report(server, lambda report: all(
        users(report)[name] == count for name, count in expected.items()),
        f"{expected} users")


def test_users_are_counted_by_handler(nginx):
    server = nginx(LOCATIONS, workers=2, **REUSEPORT)
    server.allow_errors("exited on signal 9|was locked by")
    clients = [join(server, f"/room?user={user}")
               for user in ("ann", "ann", "bob", "")]
    team = connect(server, "/rooms?user=ann")
    wait_for_users(server, room=2, rooms=1, echo=0)
    text = server.request(request("/status?format=prometheus")).body.decode()
    assert 'nginx_websocket_handler_users{handler="room"} 2\n' in text
    clients[0].disconnect()
    clients[2].disconnect()
    wait_for_users(server, room=1)
    team.disconnect()
    wait_for_users(server, room=1, rooms=0)
    dead = worker_of(clients[1])
    os.kill(dead, signal.SIGKILL)
    wait_for_other_worker(server, dead, 2)
    wait_for_users(server, room=0)


def test_no_users_without_a_directive_for_them(nginx):
    server = nginx("location /room { websocket room lobby; }\n"
                   "location = /status { websocket_status; }")
    assert all("users" not in each for each in report_of(server)["handlers"])
