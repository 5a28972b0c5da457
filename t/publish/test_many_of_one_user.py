"""One user may have many clients: each costs as little as that of another
user."""

from many_clients import need_open_files
from nginx_server import seconds, wait_until
from worker_probe import cpu_seconds, only_worker, stopped

LOCATIONS = r"""
location = /echo { websocket_user $websocket_arg_user; websocket echo; }
location = /to { websocket_publish echo "" user=$websocket_arg_user; }
"""
CLIENTS = 4000


def cost_of_leaving(server, users):
    """The worker's CPU time for the ends of many clients at once."""
    pid = only_worker(server)
    clients = [server.connect(f"/echo?user={number % users}")
               for number in range(CLIENTS)]
    with stopped(pid):
        for client in clients:
            client.abort()
        before = cpu_seconds(pid)
    wait_until(lambda: server.active_connections() == 0, seconds(60),
               "the end of the clients")
    server.clients.clear()
    return cpu_seconds(pid) - before


def test_clients_of_one_user_leave_as_cheaply_as_others(nginx):
    need_open_files(CLIENTS + 100)
    server = nginx(LOCATIONS, connections=CLIENTS + 100)
    costs = {users: min(cost_of_leaving(server, users) for _ in range(2))
             for users in (CLIENTS, 1)}
    print(costs)
    assert costs[1] < 3 * costs[CLIENTS] + 0.05, costs
