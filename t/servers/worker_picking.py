"""Connects clients to workers that the test chooses.

With `nginx(..., workers=2, **REUSEPORT)` the kernel spreads connections over
the workers. Each response names its worker.
"""

from nginx_server import seconds, wait_until

REUSEPORT = {"listen": "reuseport",
             "server": "add_header X-Worker $pid always;\n"
                       "location = /worker { access_log off; return 204; }"}
ASK_WORKER = b"GET /worker HTTP/1.1\r\nHost: localhost\r\n\r\n"


def worker_of(client):
    """The pid of the worker that serves a client."""
    return int(client.response.header("X-Worker"))


def open_to(server, pid, *, tls=False, port=None):
    """Opens a connection to this worker. Each connection requests the pid of
    its worker first, so no client is ever on another worker."""
    for _ in range(1000):
        client = server.open(tls, port)
        client.send(ASK_WORKER)
        if int(client.read_response().header("X-Worker")) == pid:
            return client
        client.disconnect()
    raise AssertionError(f"worker {pid} gets no connection")


def connect_to(server, pid, path, *, tls=False, port=None, **options):
    """Connects a client to this worker."""
    client = open_to(server, pid, tls=tls, port=port)
    return server.connect(path, client=client, **options)


def on_each_worker(server, path, **options):
    """Connects a client to each worker, in the order of pids."""
    return [connect_to(server, pid, path, **options)
            for pid in sorted(server.worker_pids())]


def wait_for_other_worker(server, dead, count):
    """Waits until `count` workers run and the dead one is not among them."""
    def replaced():
        pids = server.worker_pids()
        return len(pids) == count and dead not in pids and pids
    return wait_until(replaced, seconds(10), "a new worker")
