"""The directives websocket_rooms and websocket_max_rooms."""

import re

import pytest

import room_client
from config_errors import expect_error
from nginx_server import seconds, wait_until
from publish_client import Publisher
from rooms_client import ask, connect, joined, send, subscribe

NO_PATTERN = "the name fits no websocket_rooms of this location"

def rooms(*lines):
    return ("location /rooms { websocket rooms; "
            + " ".join(f"websocket_rooms {line};" for line in lines) + " }")


@pytest.mark.parametrize("pattern", [
    "$", "a$", "${x", "${}", "a$.b", "a*b", "*a", "a**", "${arg_a", "$-"])
def test_wrong_patterns(nginx, pattern):
    expect_error(nginx, "may end in", re.escape(pattern),
                 locations=rooms(f'"{pattern}"'))


def test_empty_pattern(nginx):
    expect_error(nginx, "not empty", locations=rooms('""'))


def test_unknown_variable(nginx):
    passed, output = nginx.check(rooms("a.$no_such_variable"))
    assert not passed
    assert 'unknown "no_such_variable" variable' in output


@pytest.mark.parametrize("parameters,error", [
    ("histroy=1", 'unknown parameter "histroy".*access'),
    ("history=x", '"history" takes a number'),
    ("history=1 history=2", '"history" is given twice'),
    ("history_time=1h", '"history_time" requires "history"'),
    ("publish=maybe", '"publish" takes "on", "off" or "open"'),
    ("access=user", '"access" takes "open" or "token"'),
    ("presence", "presence"),
    ("*=1", r"\*")])
def test_wrong_parameters(nginx, parameters, error):
    expect_error(nginx, "websocket_rooms", error,
                 locations=rooms(f"a {parameters}"))


@pytest.mark.parametrize("line", ["a publish=open", "a access=token"])
def test_parameters_of_patterns_alone(nginx, line):
    name, value = line.split()[1].split("=")
    passed, output = nginx.check(
        f"location /room {{ websocket room {name}={value}; }}")
    assert not passed and name in output


@pytest.mark.parametrize("number", ["0", "x", "-1", "1000001", "1 2"])
def test_wrong_numbers_of_rooms(nginx, number):
    passed, output = nginx.check(
        rooms("a") + f"websocket_max_rooms {number};")
    assert not passed and "websocket_max_rooms" in output


@pytest.mark.parametrize("number", ["1", "1000000"])
def test_numbers_of_rooms(nginx, number):
    passed, output = nginx.check(
        rooms("a") + f"websocket_max_rooms {number};")
    assert passed, output


def test_rooms_takes_no_parameters(nginx):
    expect_error(nginx, "websocket_rooms",
                 locations="location / { websocket rooms history=1; }")


def test_different_histories_of_one_pattern_are_warned_of(nginx):
    passed, output = nginx.check(
        rooms("a.* history=5") + "\nlocation /other { websocket rooms;\n"
        "websocket_rooms a.* history=6; }")
    assert passed, output
    warning, = re.findall(r"\[warn\].*different histories.*", output)
    assert re.search(r"5 messages in \S+nginx\.conf:\d+", warning), warning
    assert re.search(r"6 messages in \S+nginx\.conf:\d+", warning), warning


@pytest.mark.parametrize("lines, warning", [
    ("", 'no "websocket_rooms": all rooms are refused'),
    ("websocket_rooms b; websocket_rooms a.* access=token;",
     '"access=token" but no "websocket_jwt": rooms of the pattern "a.*" are '
     "refused"),
    ("websocket_rooms a.*; websocket_rooms * access=open;", None),
    ("websocket_jwt $arg_t KEY; websocket_rooms a access=token;",
     None),
    ("websocket_jwt off; websocket_rooms a access=token;",
     '"access=token" but no "websocket_jwt": rooms of the pattern "a" are '
     "refused"),
])
def test_rooms_that_nobody_can_be_in_are_warned_of(nginx, tmp_path, lines,
                                                   warning):
    key = tmp_path / "key"
    key.write_text("secret:" + 32 * "x")
    lines = lines.replace("KEY", str(key))
    passed, output = nginx.check(f"location /r {{ websocket rooms; {lines} }}")
    assert passed, output
    found = re.findall(r'(?m)\[warn\].*location "/r" in \S+nginx\.conf:\d+ '
                       r'has "websocket rooms" and (.*)$', output)
    assert found == ([warning] if warning else [])


def test_very_long_pattern(nginx):
    text = "x" * 3000
    server = nginx(rooms(f"{text}*"))
    client = connect(server)
    subscribe(client, text + "1")
    long = text + "y" * 3000
    assert ask(client, subscribe=[long])["refused"] == {
        long: "the name is too long"}


INHERITED = """
location /server { websocket rooms; }
location /own { websocket rooms; websocket_rooms own.*; websocket_max_rooms 2; }
location /none { websocket rooms; }
"""


def test_patterns_are_inherited_as_a_whole(nginx):
    server = nginx(INHERITED, http="websocket_rooms http.*;"
                   "websocket_max_rooms 3;", server="websocket_rooms server.*;")
    for path, name, limit in (("/server", "server", 3), ("/own", "own", 2)):
        client = connect(server, path)
        names = [f"{name}.{number}" for number in range(limit)]
        subscribe(client, *names)
        for other in {"http.a", "server.a", "own.a"} - {f"{name}.a"}:
            assert ask(client, subscribe=[other])["refused"] == {
                other: NO_PATTERN}
        assert ask(client, subscribe=[f"{name}.a"])["refused"] == {
            f"{name}.a": "websocket_max_rooms reached"}


def test_patterns_of_http(nginx):
    server = nginx(INHERITED, http="websocket_rooms http.*;")
    subscribe(connect(server, "/none"), "http.a")


def test_location_without_patterns_refuses_all_rooms(nginx):
    server = nginx(INHERITED)
    client = connect(server, "/none")
    assert ask(client, subscribe=["a", "*"])["refused"] == {
        "a": NO_PATTERN, "*": NO_PATTERN}
    assert ask(client, publish="a", data="")["message"] == NO_PATTERN


VARIABLES = rooms("${arg_a}.$arg_b", "user.$arg_user.*", "$arg_whole")


def test_variables_are_evaluated_for_each_client(nginx):
    server = nginx(VARIABLES)
    client = connect(server, "/rooms?a=one&b=two&user=42")
    subscribe(client, "one.two", "user.42.", "user.42.a")
    refused = ["one.", "user..a", "user.4", "", "a", "*", "one.two.three"]
    assert ask(client, subscribe=refused)["refused"] == dict.fromkeys(
        refused, NO_PATTERN)


def test_star_in_a_value_is_no_wildcard(nginx):
    server = nginx(rooms("$arg_whole", "a.$arg_user*"))
    client = connect(server, "/rooms?whole=*&user=*")
    subscribe(client, "*", "a.*", "a.*b")
    assert ask(client, subscribe=["x", "a.b"])["refused"] == {
        "x": NO_PATTERN, "a.b": NO_PATTERN}


def test_first_pattern_that_fits_decides(nginx):
    server = nginx(rooms("a.closed publish=off", "a.* publish=open", "*"))
    client = connect(server)
    assert ask(client, publish="a.closed", data="x")["type"] == "error"
    assert ask(client, publish="a.x", data="x")["type"] == "published"
    assert ask(client, publish="b", data="x")["message"] == "not subscribed"


# Histories

HISTORIES = rooms("many.* history=5", "timed.* history=9 history_time=1h") + """
location /few { websocket room $arg_k history=2; }
location /none { websocket room $arg_k; }
location /publish { websocket_publish room $arg_k; }
"""


def kept(server, room):
    """The data that a client gets which asks for all of it."""
    client = connect(server)
    count = Publisher(server, f"/publish?k={room}").get_state()[1]
    send(client, subscribe=[room], since={room: "0"})
    room_client.read_type(client, "subscribed")
    return room_client.read_data(client, count)


def fill(server, room, count=8):
    publisher = Publisher(server, f"/publish?k={room}")
    for number in range(count):
        publisher.post(f"{number}")


def test_room_that_nobody_was_in_has_the_history_of_its_pattern(nginx):
    server = nginx(HISTORIES)
    fill(server, "many.a")
    assert kept(server, "many.a") == ["3", "4", "5", "6", "7"]


@pytest.mark.parametrize("first", ["/few", "/none", "/rooms"])
def test_larger_history_counts_whoever_comes_first(nginx, first):
    server = nginx(HISTORIES)
    if first == "/rooms":
        joined(server, "many.a").disconnect()
    else:
        room_client.join(server, f"{first}?k=many.a").disconnect()
    fill(server, "many.a")
    assert kept(server, "many.a") == ["3", "4", "5", "6", "7"]


def test_publishing_to_an_open_room_keeps_its_history(nginx):
    server = nginx(rooms("open.* publish=open history=3") +
                   "location /publish { websocket_publish room $arg_k; }")
    client = connect(server)
    for number in range(5):
        assert ask(client, publish="open.a",
                   data=f"{number}")["type"] == "published"
    assert kept(server, "open.a") == ["2", "3", "4"]


def test_reload_with_a_smaller_history_of_a_pattern_shrinks_it(nginx):
    server = nginx(HISTORIES)
    fill(server, "many.a")
    server.rewrite_config("history=5", "history=3")
    server.reload()
    client = joined(server, "many.a")
    send(client, publish="many.a", data="8")
    wait_until(lambda: kept(server, "many.a") == ["6", "7", "8"], seconds(5),
               "the smaller history")
