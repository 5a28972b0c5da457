"""Clients of the plug-in direct.cpp, which sends to clients and users."""

LOCATION = r"""
location = /direct { websocket_user $arg_user; websocket direct $arg_k; }
"""


def connect(server, user="", key="a"):
    """A client that knows its id as `number`."""
    client = server.connect(f"/direct?user={user}&k={key}")
    client.number = client.read_frame().payload.decode()
    return client


def ask(client, text, timeout=None):
    """Sends a command; returns the answer."""
    client.text(text)
    return client.read_frame(timeout).payload.decode()


def check_messages_to_a_user(sender, clients, counted):
    """`clients` are all those of the user ann; `counted` of them are on the
    host of the sender."""
    assert ask(sender, "user ann hello") == f"sent to {counted}"
    for client in clients:
        client.expect_text("hello")
    assert ask(sender, "user bob hello") == "sent to 0"
    assert ask(sender, "close ann out") == f"sent to {counted}"
    for client in clients:
        client.expect_close(4001, "out")
