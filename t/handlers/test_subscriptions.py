"""Handlers in C++ whose clients are subscribed to further resources."""

import pytest

import plugin_builder

LOCATIONS = """
location /alike { websocket alike $arg_k word=given; websocket_max_rooms 4; }
location /watching { websocket watching $arg_k; }
location /watched { websocket watched $arg_k; }
location /viewing { websocket viewing $arg_k; }
location /patterns { websocket alike $arg_k; websocket_rooms ${arg_x}*; }
"""
KINDS = ["alike", "watching", "viewing"]


@pytest.fixture(scope="module")
def server(module_nginx):
    plugin = plugin_builder.build_file("subscribing.cpp")
    return module_nginx(LOCATIONS, http=f"websocket_plugin {plugin};")


def ask(client, command, *answers):
    client.text(command)
    for answer in answers:
        client.expect_text(answer)


def entered(key, kind, number=1):
    """The messages that a client gets when it is subscribed."""
    joined = f"joined {key}"
    return [f"in {key}",
            f"{key} {number}: {joined}" if kind == "watching" else joined]


def subscribe(client, key, kind="alike", since=""):
    ask(client, f"subscribe {key}{since}", "subscribe: ", *entered(key, kind))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def test_subscriber_gets_messages_until_it_is_taken_out(server, kind):
    first, second = (server.connect(f"/{kind}?k=home") for _ in range(2))
    subscribe(first, "a", kind)
    subscribe(second, "a", kind)
    first.expect_text(entered("a", kind, 2)[1])
    for client in (first, second):
        ask(client, "count a", "clients 2")
    ask(first, "unsubscribe a", "out of a", "ended")
    ask(first, "unsubscribe a", "none")
    ask(second, "publish a text")
    second.expect_text("a 2: text" if kind == "watching" else "text")
    ask(first, "publish a text", "not subscribed")
    ask(second, "count a", "clients 1")


def test_second_subscription_to_a_key_is_refused(server, kind):
    client = server.connect(f"/{kind}?k=home")
    subscribe(client, "twice", kind)
    ask(client, "subscribe twice", "subscribe: already subscribed")
    ask(client, "subscribe ", "subscribe: the name is empty")
    ask(client, "subscribe " + "x" * 5000, "subscribe: ",
        *(["failed: the name is too long"] if kind == "alike" else []))


def test_since_is_passed_on(server, kind):
    client = server.connect(f"/{kind}?k=home")
    subscribe(client, "later", kind, " since")
    subscribe(client, "else", kind)
    client.text("list")
    assert sorted(client.read_frame().payload.decode().split()) == [
        "else/none", "later/7-8", "list"]


def test_more_subscriptions_than_the_limit_are_refused(server):
    client = server.connect("/alike?k=home")
    for key in "abcd":
        subscribe(client, key)
    ask(client, "subscribe e", "subscribe: websocket_max_rooms reached")


def test_client_may_subscribe_to_its_own_resource(server):
    client = server.connect("/alike?k=own")
    client.text("subscribe own")
    client.expect_text("subscribe: ")
    client.expect_text("in own")
    client.expect_text("joined own")  # as a client, and as a subscriber
    client.expect_text("joined own")
    ask(client, "count own", "clients 2")


def test_subscribed_handler_has_the_resources_of_its_name(server):
    client = server.connect("/watching?k=home")
    subscribe(client, "shared", "watching")
    server.connect("/watched?k=shared").expect_text("2")


def test_handler_that_no_location_names_has_resources(server):
    client = server.connect("/viewing?k=home")
    subscribe(client, "shared", "viewing")
    ask(client, "count shared", "clients 1")


def test_publishing_without_subscription(server, kind):
    client, other = (server.connect(f"/{kind}?k=home") for _ in range(2))
    subscribe(client, "to", kind)
    ask(other, "to to text", "published")
    client.expect_text("to 2: text" if kind == "watching" else "text")
    ask(other, "to nobody text", "published")
    ask(other, "to " + " text", "refused")


def test_parameters_are_those_of_the_location(server):
    client = server.connect("/alike?k=home")
    ask(client, "parameter any word", "parameter given")
    ask(client, "parameter any other", "parameter absent")


# Calls inside of callbacks

def test_client_that_is_taken_out_while_it_is_subscribed(server, kind):
    client = server.connect(f"/{kind}?k=home")
    ask(client, "subscribe leave", "subscribe: ", "in leave", "out of leave")
    ask(client, "list", "list")


def subscribe_another(client, kind):
    client.text("subscribe another")
    received = {client.read_frame().payload.decode() for _ in range(5)}
    assert received == {"subscribe: ", *entered("another", kind),
                        *entered("chained", kind)}


def test_client_that_is_subscribed_while_it_is_subscribed(server, kind):
    client = server.connect(f"/{kind}?k=home")
    subscribe_another(client, kind)
    client.disconnect()


def test_client_that_is_closed_while_it_is_subscribed(server, kind):
    client = server.connect(f"/{kind}?k=home")
    ask(client, "subscribe expel", "subscribe: ", "in expel")
    frame = client.read_frame()
    if frame.opcode == 1:  # the message of the resource may precede the Close
        frame = client.read_frame()
    assert frame.payload[2:] == b"expelled"
    client.close(4000)


def test_client_that_is_closed_with_subscriptions(server, kind):
    client = server.connect(f"/{kind}?k=home")
    subscribe(client, "a", kind)
    subscribe_another(client, kind)
    subscribe(client, "b", kind)
    client.disconnect()
    client = server.connect(f"/{kind}?k=home")
    client.text("close reason")
    client.expect_close(4000, "reason")


def test_patterns_are_asked_for_while_the_client_ends(server):
    client = server.connect("/patterns?k=home&x=a")
    subscribe(client, "another")
    ask(client, "parameter b *", "parameter absent")
    client.close(1000)
    server.connect("/alike?k=home").expect_alive()


def test_resource_that_ends_all_subscriptions_in_a_timer(server, kind):
    """It ends with the last one, but not before its callback."""
    client = server.connect(f"/{kind}?k=home")
    subscribe(client, "emptied", kind)
    ask(client, "empty emptied", "emptied", "out of emptied")
    ask(client, "list", "list")
    subscribe(client, "emptied", kind)


# Exceptions

def allow(server, text):
    server.allow_errors(f"exception in .*: thrown in {text}")


@pytest.mark.parametrize("command,where", [
    ("throw-each", "each_subscription"),
    ("throw-all a", "for_each_subscriber")])
def test_exception_in_a_loop_closes_its_client(server, kind, command, where):
    allow(server, where)
    client = server.connect(f"/{kind}?k=home")
    subscribe(client, "a", kind)
    client.text(command)
    client.expect_close(1011)


def test_exception_in_client_subscribed_closes_the_client(server, kind):
    allow(server, "subscribed")
    client = server.connect(f"/{kind}?k=home")
    ask(client, "subscribe throw-subscribed", "subscribe: ")
    client.expect_close(1011)


def test_exception_in_the_state_closes_the_client(server, kind):
    """The resource does not learn of that client."""
    allow(server, "the state")
    client, other = (server.connect(f"/{kind}?k=home") for _ in range(2))
    subscribe(other, "stateless", kind)
    client.text("throw-state stateless")
    client.expect_close(1011)
    ask(other, "publish stateless text")
    other.expect_text("stateless 2: text" if kind == "watching" else "text")
    ask(other, "empty stateless", "emptied", "out of stateless")


def test_exception_in_client_unsubscribed_is_logged(server, kind):
    allow(server, "unsubscribed")
    client = server.connect(f"/{kind}?k=home")
    subscribe(client, "throw-unsubscribed", kind)
    ask(client, "unsubscribe throw-unsubscribed", "out of throw-unsubscribed",
        "ended")
    client.expect_alive()
    subscribe(client, "throw-unsubscribed", kind)
    client.close(1000)


def test_exception_in_message_published_is_logged(server):
    allow(server, "published")
    client = server.connect("/watching?k=home")
    subscribe(client, "throw-published", "watching")
    ask(client, "publish throw-published x", "throw-published 2: x")
    client.expect_alive()
