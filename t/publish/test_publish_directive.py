"""The directive websocket_publish: accepted values, errors of nginx -t, and
the parameters of resources that it creates."""

import pytest

import handler_log
import plugin_builder
from config_errors import expect_error
from nginx_server import seconds, wait_until
from publish_client import Publisher, answer_of, post, expect_refused


def message_echo():
    """The directive that loads the plug-in message_echo."""
    path = plugin_builder.build_file("message_echo.cpp")
    return f"websocket_plugin {path};\n"


# The configuration

@pytest.mark.parametrize("line", [
    "websocket_publish echo key;", "websocket_publish echo $arg_room;",
    "websocket_publish echo 'rooms/$host/$arg_room';",
    "websocket_publish echo Key=1;",
    "websocket_publish message_echo key history=1;",
    "websocket_publish message_echo $arg_room 'history=10';",
])
def test_directive_is_accepted_with(nginx, line):
    passed, output = nginx.check(f"location /publish {{ {line} }}",
                                 http=message_echo())
    assert passed and "[warn]" not in output, output


@pytest.mark.parametrize("line, pattern", [
    ("websocket_publish;", "number of arguments"),
    ("websocket_publish echo;", "number of arguments"),
    ("websocket_publish nosuch key;",
     'unknown handler "nosuch" in "websocket_publish" directive; '
     "available: echo"),
    ("websocket_publish echo '';", 'value "".*a key after the handler'),
    ("websocket_publish echo a=b;", 'value "a=b".*a key after the handler'),
    ("websocket_publish echo a=b key;", 'value "a=b".*a key after'),
    ("websocket_publish echo key other;", 'value "other".*name=value'),
    ("websocket_publish echo key a=1;",
     'invalid parameters of handler "echo" in "websocket_publish" '
     'directive: .*"?a'),
    ("websocket_publish echo key$;", "variable"),
    ("websocket_publish echo key; websocket_publish echo key;",
     '"websocket_publish" directive is duplicate'),
    ("websocket_publish echo key; websocket echo;",
     '"websocket" directive conflicts with "websocket_publish" in the same'),
    ("websocket echo; websocket_publish echo key;",
     '"websocket" directive conflicts with "websocket_publish" in the same'),
    ("if ($host) { websocket_publish echo key; }", "not allowed here"),
    ("limit_except GET { websocket_publish echo key; }", "not allowed here"),
])
def test_directive_is_refused_with(nginx, line, pattern):
    expect_error(nginx, pattern, locations=f"location /publish {{ {line} }}")


@pytest.mark.parametrize("options", [
    {"http": "websocket_publish echo key;"},
    {"server": "websocket_publish echo key;"}])
def test_directive_is_refused_outside_of_locations(nginx, options):
    expect_error(nginx, '"websocket_publish" directive is not allowed here',
                 **options)


def test_error_of_the_handler_fails_the_check(nginx):
    expect_error(
        nginx, 'handler "probe" in "websocket_publish" directive: too bad',
        http=handler_log.plugin(),
        locations="location /publish {"
                 " websocket_publish probe key 'wrong=too bad'; }")


@pytest.mark.parametrize("others", [
    "", "location /other { websocket echo; }",
    "location /other { websocket_publish message_echo other history=1; }"])
def test_missing_parameters_fail_the_check(nginx, others):
    expect_error(
        nginx, 'handler "message_echo" in "websocket_publish" directive: it '
        "needs a history", http=message_echo(),
        locations=f"{others} location /publish {{\n"
                 f"websocket_publish message_echo key;\n}}")


def test_location_needs_no_other_of_the_module(nginx):
    """The shared memory exists without any other location of the module."""
    server = nginx("location /publish { websocket_publish echo key; }")
    Publisher(server).post("x", clients=0)


# Parameters

PARAMETERS = """
location /first { websocket message_echo first-$arg_k history=1; }
location /second { websocket message_echo second-$arg_k history=2; }
location /second-too { websocket message_echo second-$arg_k history=3; }
location /named { websocket message_echo history=4; }
location /constant { websocket message_echo constant history=5; }
location /ninth { websocket message_echo ninth history=9; }
location /publish/second { websocket_publish message_echo second-$arg_k; }
location /publish/named { websocket_publish message_echo /named; }
location /publish/constant { websocket_publish message_echo constant; }
location /publish/constant-own {
    websocket_publish message_echo constant history=7;
}
location /publish/other { websocket_publish message_echo other-$arg_k; }
location /publish/first { websocket_publish message_echo first-$arg_k; }
location /publish/own { websocket_publish message_echo own-$arg_k history=6; }
location /publish/if {
    websocket_publish message_echo second-$arg_k;
    if ($arg_if) { add_header X-If yes; }
}
"""


@pytest.fixture(scope="module")
def server(module_nginx):
    return module_nginx(PARAMETERS, http=message_echo())


def test_handler_that_needs_a_history_is_refused_without(nginx):
    expect_error(
        nginx,
        'handler "message_echo" in "websocket" directive: it needs a history',
        http=message_echo(), locations="location / { websocket message_echo; }")


@pytest.mark.parametrize("path, kept", [
    ("/publish/first?k=1", 1), ("/publish/second?k=1", 3),
    ("/publish/named", 4), ("/publish/own?k=1", 6),
    ("/publish/if?k=2&if=1", 3), ("/publish/if?k=3", 3),
    ("/publish/other?k=1", 9),  # the largest of all locations
])
def test_history_of_a_resource_without_clients(server, path, kept):
    publisher = Publisher(server, path)
    for number in range(1, 12):
        publisher.post("x")
        assert publisher.get_state()[1] == min(number, kept)


def test_publisher_declared_before_the_clients_location(nginx):
    server = nginx("""
        location /publish { websocket_publish message_echo key; }
        location /clients { websocket message_echo key history=3; }
        """, http=message_echo())
    publisher = Publisher(server)
    for _ in range(5):
        publisher.post("x")
    assert publisher.get_state()[1] == 3
    client = server.connect("/clients")
    for sequence in (3, 4, 5):
        text = client.read_frame().payload.decode()
        assert text.startswith("kept text ") and f"-{sequence} from 0" in text


def test_publishers_history_counts_as_a_locations_does(server):
    """The first client does not shrink it. The new object has the parameters of
    the clients' location."""
    publisher = Publisher(server, "/publish/constant-own")
    for _ in range(9):
        publisher.post("x")
    assert publisher.get_state()[1] == 7
    client = server.connect("/constant")
    texts = [client.read_frame().payload.decode() for _ in range(8)]
    assert [text.partition(" ")[0] for text in texts] == 7 * ["kept"] + [
        "history"]
    assert texts[-1] == "history 5"
    for _ in range(9):
        publisher.post("x", clients=1)
        client.read_frame()
    assert publisher.get_state()[1] == 7


def test_handler_callback_gets_published_messages(server):
    client = server.connect("/first?k=fields")
    client.expect_text("history 1")
    publisher = Publisher(server, "/publish/first?k=fields")
    epoch, sequence = publisher.post("häuser")
    client.expect_text(f"text {epoch}-{sequence} from 0 häuser")
    answer = answer_of(server.request(post(
        b"bytes", "/publish/first?k=fields", kind="application/octet-stream")))
    client.expect_text(f"binary {answer['id']} from 0 bytes")


def test_delete_closes_the_clients_of_a_handler_with_its_own_delivery(server):
    client = server.connect("/first?k=delete")
    client.expect_text("history 1")
    publisher = Publisher(server, "/publish/first?k=delete")
    publisher.post("x")
    assert publisher.close_clients("&code=4000&reason=over") == 1
    assert client.read_frame().payload.endswith(b" x")
    client.expect_failure(4000, "^over$")


def test_delete_keeps_the_history(server):
    publisher = Publisher(server, "/publish/own?k=history")
    client = server.connect("/second?k=history")
    publisher.post("x")
    publisher.close_clients()
    assert publisher.get_state()[1] == 1
    client.disconnect()


# The object

PROBES = """
location /clients { websocket probe key$arg_k; }
location /publish { websocket_publish probe key$arg_k; }
location /null { websocket_publish probe key$arg_k resource=null; }
"""


def test_resource_without_clients_ends_with_the_request(nginx):
    server = nginx(PROBES, http=handler_log.plugin())
    publisher = Publisher(server)
    publisher.post("x")
    publisher.post("x")
    # The end of a request comes after its response
    wait_until(lambda: handler_log.history(server, "key") == 2 * [
        "resource created", "resource destroyed"], seconds(5), "two ends")
    publisher.get_state()
    publisher.close_clients()
    assert len(handler_log.history(server, "key")) == 4


def test_object_with_clients_is_the_one_that_publishes(nginx):
    server = nginx(PROBES, http=handler_log.plugin())
    client = server.connect("/clients")
    publisher = Publisher(server, "/null")
    publisher.post("x", clients=1)
    client.expect_text("x")
    assert handler_log.matching(server, "resource.*",
                                "key") == ["resource created"]
    expect_refused(server, post("x", "/null?k=1"), 500,
                   "failed to create the resource")
