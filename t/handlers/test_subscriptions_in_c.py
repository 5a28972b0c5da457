"""Handlers over the C interface whose clients are subscribed to further
resources."""

import pytest

import plugin_builder
from test_subscriptions import ask

LOCATIONS = """
location /in_c { websocket in_c $arg_k; websocket_max_rooms 3; }
location /before { websocket before $arg_k; }
location /linked { websocket linked $arg_k; }
"""


@pytest.fixture(scope="module", params=[True, False],
                ids=["master", "alone"])
def server(module_nginx, request):
    plugin = plugin_builder.build_file("subscribing_in_c.c")
    return module_nginx(LOCATIONS, http=f"websocket_plugin {plugin};",
                        master=request.param)


@pytest.mark.parametrize("path", ["/in_c", "/linked"])
def test_memory_of_a_subscription_is_zeroed_and_kept(server, path):
    client, other = (server.connect(f"{path}?k=home") for _ in range(2))
    for each in (client, other):
        ask(each, "sroom", "yes ", "in room 0 5")
    ask(client, "froom", "subscribers 2")
    ask(client, "uroom", "out", "1")
    ask(client, "uroom", "0")
    ask(client, "froom", "subscribers 0")
    ask(client, "sroom", "yes ", "in room 0 5")


def test_refusals(server):
    client = server.connect("/in_c?k=home")
    ask(client, "s", "no the name is empty")
    ask(client, "s" + "x" * 5000, "yes ", "failed 5000 the name is too long")
    for key in "abc":
        ask(client, f"s{key}", "yes ", f"in {key} 0 5")
    ask(client, "sa", "no websocket_max_rooms reached")
    ask(client, "ua", "out", "1")
    ask(client, "sb", "no already subscribed")
    ask(client, "sa", "yes ", "in a 0 5")


def test_loop_over_subscriptions_ends_early(server):
    client = server.connect("/in_c?k=home")
    ask(client, "e", "visited 0")
    for key in "abc":
        ask(client, f"s{key}", "yes ", f"in {key} 0 5")
    ask(client, "e", "visited 2")


def test_messages_are_delivered_without_callbacks(server):
    client, other = (server.connect("/before?k=home") for _ in range(2))
    ask(client, "sroom", "yes ")
    ask(other, "proom", "published")
    client.expect_text("sent")
    ask(client, "uroom", "1")
    ask(other, "proom", "published")
    ask(client, "froom", "subscribers 0")


def test_failure_in_client_subscribed_closes_the_client(server):
    client = server.connect("/in_c?k=home")
    ask(client, "sother", "yes ", "in other 0 5")
    ask(client, "sfail", "yes ", "in fail 0 5")
    client.expect_close(1011)


def test_publishing_to_a_wrong_key_is_refused(server):
    client = server.connect("/in_c?k=home")
    ask(client, "p", "refused")
