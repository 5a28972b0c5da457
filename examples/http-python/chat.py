"""A chat with users, behind nginx's handler `http`: the standard library alone.

usage: chat.py PORT
"""

import json
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

users = {}  # client: name
last = {}  # client: sequence of its last event
lock = threading.Lock()  # all clients get the changes in one order


class Backend(BaseHTTPRequestHandler):
    def do_POST(self):
        event, client, state, sequence, uri = (
            self.headers[f"WebSocket-{name}"] for name in (
                "Event", "Client", "State", "Sequence", "URI"))
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        reply = ""
        with lock:
            if event == "connect":
                last[client] = 0
                name = parse_qs(urlsplit(uri).query).get("name", ["?"])[0]
                state, reply = quote(name[:32]), json.dumps({"you": client})
            elif int(sequence) > last.get(client, 0):  # else it is repeated
                last[client] = int(sequence)
                getattr(self, event)(client, unquote(state), text)
        self.send_response(200)
        self.send_header("WebSocket-State", state)
        self.end_headers()
        self.wfile.write(reply.encode())

    def message(self, client, name, text):
        if client not in users:
            users[client] = name
            self.push(joined=name, users=list(users.values()))
        if text:  # the first message of the page is empty
            self.push(client=client, name=name, text=text)

    def disconnect(self, client, name, _):
        del last[client]
        if users.pop(client, None):
            self.push(left=name, users=list(users.values()))

    def push(self, **message):
        """Sends a message to all clients."""
        nginx = HTTPConnection(self.headers["X-Push"], timeout=5)
        try:
            nginx.request("POST", "/http-python/push", json.dumps(message))
            nginx.getresponse()
        except OSError:
            pass  # nginx has ended
        nginx.close()

    def log_message(self, *_):
        pass  # nginx has an access log


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Backend).serve_forever()
