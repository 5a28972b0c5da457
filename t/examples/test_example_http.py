"""examples/http-python and examples/http-php: the messages that their pages
get, also after an event that nginx repeats."""

import http.client
import json
import os

import pytest

from browser import start_example

# Sends a request to PHP as nginx sends an event.
PHP_EVENT = """
location = /event {{
    fastcgi_pass unix:{folder}/backends/php-fpm.sock;
    fastcgi_param SCRIPT_FILENAME {root}/http-php/todo.php;
    fastcgi_param REQUEST_METHOD POST;
    fastcgi_param CONTENT_LENGTH $content_length;
    fastcgi_param PUSH http://127.0.0.1:{port}/http-php/push;
}}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return start_example(module_nginx)


def read(client):
    return json.loads(client.read_frame().payload)


def post(port, body, more=(), **fields):
    """Sends an event to a backend; returns the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {f"WebSocket-{name}": str(value)
               for name, value in fields.items()}
    connection.request("POST", "/event", body, {**headers, **dict(more)})
    response = connection.getresponse()
    assert response.status == 200
    try:
        return response.read()
    finally:
        connection.close()


def join(server, name):
    """Connects a user of the chat; returns the client and its id."""
    client = server.connect(f"/http-python/live?name={name}")
    number = read(client)["you"]
    client.text("")
    return client, number


def test_chat_sends_all_changes_to_all(server):
    ann, number = join(server, "Ann")
    assert read(ann) == {"joined": "Ann", "users": ["Ann"]}
    bob, _ = join(server, "B%C3%B6b")
    for client in (ann, bob):
        assert read(client) == {"joined": "Böb", "users": ["Ann", "Böb"]}
    ann.text("Grüße")
    for client in (ann, bob):
        assert read(client) == {"client": number, "name": "Ann",
                                "text": "Grüße"}
    bob.leave()
    assert read(ann) == {"left": "Böb", "users": ["Ann"]}
    ann.leave()


def test_chat_drops_a_repeated_event(server):
    ann, number = join(server, "Ann")
    read(ann)
    ann.text("one")
    read(ann)
    post(server.ports[0], "one", {"X-Push": f"127.0.0.1:{server.port}"},
         Event="message", Client=number, Sequence=2, State="Ann")
    ann.text("two")
    assert read(ann)["text"] == "two"
    ann.leave()


def test_chat_takes_text_alone(server):
    ann, _ = join(server, "Ann")
    read(ann)
    ann.binary(b"x")
    ann.expect_failure(1003)


@pytest.fixture
def todo(server):
    """A client of the list, which is empty."""
    client = server.connect("/http-php/live")
    items = read(client)["items"]
    for number in items:
        client.text(json.dumps({"remove": number}))
        read(client)
    yield client
    client.leave()


def test_list_is_first_message_reply_and_push(server, todo):
    todo.text(json.dumps({"add": "Milch & Äpfel"}))
    added = read(todo)
    (number, item), = added["items"].items()
    assert item == {"text": "Milch & Äpfel", "done": False}
    other = server.connect("/http-php/live")
    other.text("")
    assert [read(other), read(other)] == [added, added]
    other.text(json.dumps({"id": number, "done": True}))
    for client in (todo, other):
        changed = read(client)
        assert changed["items"][number]["done"] is True
        assert changed["version"] > added["version"]
    todo.text(json.dumps({"remove": number}))
    for client in (todo, other):
        assert read(client)["items"] == []
    other.leave()


def test_list_drops_a_repeated_event(server, todo, nginx):
    root = os.path.join(os.path.dirname(__file__), "../../examples")
    direct = nginx(PHP_EVENT.format(
        folder=server.config.folder, port=server.port,
        root=os.path.abspath(root)))
    fields = {"Client": 999999, "URI": "/"}
    post(direct.port, "", Event="connect", **fields)
    add = json.dumps({"add": "once"})
    post(direct.port, add, Event="message", Sequence=1, **fields)
    version = read(todo)["version"]
    again = json.loads(post(direct.port, add, Event="message", Sequence=1,
                            **fields))
    assert again["version"] == version
    assert [item["text"] for item in again["items"].values()] == ["once"]
    post(direct.port, "", Event="disconnect", Sequence=2, **fields)
    with open(os.path.join(server.config.folder, "backends", "todo.json"),
              encoding="utf-8") as file:
        assert "999999" not in json.load(file)["last"]


def test_change_of_a_removed_task_is_no_change(todo):
    todo.text("")
    before = read(todo)
    for message in ({"id": 12345, "done": True}, {}, [], "x", 5, None):
        todo.text(json.dumps(message))
        assert read(todo) == before
