"""The log-in and the direct messages of the team chat: the standard library
alone. nginx checks the tokens, and the messages of rooms do not come here.

usage: team.py PORT KEY_FILE SOCKET; nginx publishes what is sent to SOCKET
"""

import base64
import hmac
import json
import os
import secrets
import socket
import sys
import threading
import time
import unicodedata
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

ROOMS = [
    {"room": "team.general", "title": "general", "topic": "For everybody"},
    {"room": "team.help", "title": "help", "topic": "Ask, and answer"},
    {"room": "team.random", "title": "random", "topic": "Lunch, cats, music"},
    {"room": "team.leads", "title": "leads", "private": True,
     "topic": "For Ada and Grace alone", "members": ["ada", "grace"]},
]
TOKEN_SECONDS = int(os.environ.get("TEAM_TOKEN_SECONDS", "300"))
SESSION_SECONDS = 12 * 3600
LONGEST_NAME, LONGEST_TEXT = 32, 4000  # characters
MOST_PEOPLE, MOST_SESSIONS, MOST_SENT = 1000, 10_000, 10_000

PORT, KEY_FILE, SOCKET = sys.argv[1:]
with open(KEY_FILE, "rb") as file:
    KEY = file.read().removeprefix(b"secret:").removesuffix(b"\n")

people = {}  # the name without the case of its letters: the name
sessions = {}  # session: (name, end)
sent = {}  # (sender, nonce): the users who have got this direct message
lock = threading.Lock()  # both users get direct messages in one order


class Refused(Exception):
    """The arguments are a status and a reason for the page."""


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(**claims):
    text = b".".join(encode(json.dumps(part).encode()) for part in (
        {"alg": "HS256", "typ": "JWT"}, claims))
    return (text + b"." + encode(hmac.digest(KEY, text, "sha256"))).decode()


def log_in(message):
    """A demonstration: each name gets a session, without a password."""
    name = " ".join(unicodedata.normalize(
        "NFC", text_of(message, "name", LONGEST_NAME)).split())
    if not name.isprintable() or not any(map(str.isalnum, name)):
        raise Refused(400, "This cannot be a name.")
    if len(people) >= MOST_PEOPLE and name.casefold() not in people:
        raise Refused(503, "The team is full.")
    name = people.setdefault(name.casefold(), name)
    now = time.time()
    for old in [key for key, (_, end) in list(sessions.items())
                if end < now]:
        del sessions[old]
    if len(sessions) >= MOST_SESSIONS:
        raise Refused(503, "Too many people are logged in.")
    session = secrets.token_urlsafe(32)
    sessions[session] = (name, now + SESSION_SECONDS)
    return {"user": name, "session": session}


def issue_token(user):
    """A short token for nginx: its user, and the rooms that it covers."""
    rooms = [room for room in ROOMS
             if user.casefold() in room.get("members", [user.casefold()])]
    names = [room["room"] for room in rooms]
    return {"token": signed(sub=user, aud="team", rooms=names,
                            exp=int(time.time()) + TOKEN_SECONDS),
            "expires_in": TOKEN_SECONDS, "user": user, "rooms": rooms,
            "people": sorted(people.values())}


def send_direct(user, message):
    """Publishes to the rooms of both users, in which clients cannot. A message
    that the page sends again has the same nonce: nobody gets it twice."""
    text = text_of(message, "text", LONGEST_TEXT)
    nonce = text_of(message, "nonce", 64)
    to = people.get(text_of(message, "to", LONGEST_NAME).casefold())
    if to is None:
        raise Refused(404, "Nobody has this name.")
    data = json.dumps({"from": user, "to": to, "text": text, "nonce": nonce})
    with lock:
        delivered = sent.setdefault((user, nonce), set())
        for name in (to, user):
            if name not in delivered:
                publish(f"user.{name}", data)
                delivered.add(name)
        while len(sent) > MOST_SENT:
            del sent[next(iter(sent))]
    return {}


def publish(room, data):
    nginx = HTTPConnection("nginx", timeout=5)
    nginx.sock = socket.socket(socket.AF_UNIX)
    try:
        nginx.sock.settimeout(5)
        nginx.sock.connect(SOCKET)
        nginx.request("POST", f"/publish?room={quote(room, '')}",
                      data)
        status = nginx.getresponse().status
    except (OSError, HTTPException) as error:
        raise Refused(502, "nginx does not answer.") from error
    finally:
        nginx.close()
    if status != 200:
        raise Refused(502, "The message was not delivered.")


def text_of(message, name, longest):
    text = message.get(name) if isinstance(message, dict) else None
    if not isinstance(text, str) or not text.strip() or len(text) > longest:
        raise Refused(400, f"{name} is not a text of 1 to {longest} letters.")
    return text


class Backend(BaseHTTPRequestHandler):
    def do_POST(self):
        try:
            status, answer = 200, self.answer(self.path.rpartition("/")[2])
        except Refused as refusal:
            status, answer = refusal.args[0], {"error": refusal.args[1]}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self, call):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        # Pages of other sites cannot send this type without a preflight.
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, "The body must be JSON.")
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Refused(400, "The body must be JSON.") from error
        if call == "login":
            return log_in(message)
        user = self.user()
        if call == "token":
            return issue_token(user)
        if call == "direct":
            return send_direct(user, message)
        if call == "logout":
            sessions.pop(self.session(), None)
            return {}
        raise Refused(404, "There is no such call.")

    def session(self):
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def user(self):
        name, end = sessions.get(self.session(), (None, 0))
        if end < time.time():
            raise Refused(401, "Your session has ended.")
        return name

    def log_message(self, *_):
        pass  # nginx has an access log


ThreadingHTTPServer(("127.0.0.1", int(PORT)), Backend).serve_forever()
