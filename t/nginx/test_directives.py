"""Directives: accepted values, and errors of nginx -t."""

import re

import pytest

import wire
from config_errors import expect_error

LEVELS = ["http", "server", "location"]


# Accepted

ACCEPTED = [
    "websocket_origins same;",
    "websocket_origins any;",
    "websocket_origins https://a.example http://b.example:8080 *.c.example;",
    "websocket_origins same *.example.org:8443 http://[::1]:80;",
    "websocket_origins HTTPS://Example.ORG http://127.0.0.1;",
    "websocket_origins null capacitor://localhost https://*.example.org;",
    "websocket_origins chrome-extension://abcdefgh file:// app://a:8080;",
    "websocket_subprotocols chat;",
    "websocket_subprotocols chat v2.chat room.v1.json x!#%&'*+-.^_`|~9;",
    "websocket_accept text;",
    "websocket_accept binary;",
    "websocket_accept text binary;",
    "websocket_accept binary text;",
    "websocket_max_message_size 1;",
    "websocket_max_message_size 64k;",
    "websocket_max_message_size 16M;",
    "websocket_max_message_size 1g;",
    "websocket_max_frame_size 125;",
    "websocket_max_frame_size 2m;",
    "websocket_timeout 1ms;",
    "websocket_timeout 90;",
    "websocket_timeout '1h 30m';",
    "websocket_ping_interval off;",
    "websocket_ping_interval 500ms;",
    "websocket_close_timeout 1s;",
    "websocket_send_queue 1;",
    "websocket_send_queue 64k;",
    "websocket_send_queue 64k close;",
    "websocket_send_queue 2G drop;",
    "websocket_send_queue 4m drop;",
    "websocket_send_timeout 10s;",
    "websocket_limit_messages off;",
    "websocket_limit_messages rate=1/s;",
    "websocket_limit_messages rate=10r/s burst=0;",
    "websocket_limit_messages burst=1000000 rate=1000000r/m;",
]
ONE_OF_EACH = [
    "websocket_origins same;", "websocket_subprotocols chat;",
    "websocket_accept text;", "websocket_max_message_size 1k;",
    "websocket_max_frame_size 1k;", "websocket_timeout 1s;",
    "websocket_ping_interval 1s;", "websocket_close_timeout 1s;",
    "websocket_send_queue 1k;", "websocket_send_timeout 1s;",
    "websocket_limit_messages rate=1/s;",
]


@pytest.mark.parametrize("options", [
    {"http": "".join(ONE_OF_EACH)},
    {"servers": "".join(
        f"server {{ listen 127.0.0.1:%%PORT%%; server_name s{index}; {line} }}"
        for index, line in enumerate(ACCEPTED))},
    {"server": "".join(
        f"location /{index} {{ websocket echo; {line} }}"
        for index, line in enumerate(ACCEPTED))},
], ids=LEVELS)
def test_directives_are_accepted_at(nginx, options):
    passed, output = nginx.check(**options)
    assert passed and "[warn]" not in output, output


@pytest.mark.parametrize("line", [
    "websocket echo;",
    "websocket echo key;",
    "websocket echo $arg_room;",
    "websocket echo 'rooms/$host/$arg_room';",
    "websocket echo https://key.example/a=b;",
    "websocket echo Key=1;",
])
def test_handler_is_accepted_with(nginx, line):
    passed, output = nginx.check(f"location /echo {{ {line} }}")
    assert passed, output


# Refused values. The message names the directive and the valid values.

NOT_A_TIME = ["0", "0s", "-1", "1x", "soon", "1.5s", "", "ms",
              "99999999999999999999s"]
NOT_A_SIZE = ["0", "0k", "-1", "1x", "big", "1.5m", "", "k", "1ms",
              "99999999999999999999", "9999999999g"]


@pytest.mark.parametrize("name, value", [
    *[("timeout", value) for value in NOT_A_TIME],
    ("timeout", "off"), ("close_timeout", "0"), ("close_timeout", "1x"),
    ("send_timeout", "0"), ("send_timeout", "1x"),
])
def test_time_directive_refuses(nginx, name, value):
    expect_error(nginx, f'invalid value "{re.escape(value)}" in '
                 f'"websocket_{name}" directive; expected a time longer than '
                 '0, such as "30s"',
                 http=f"websocket_{name} '{value}';")


@pytest.mark.parametrize("value", NOT_A_TIME + ["on"])
def test_ping_interval_refuses(nginx, value):
    expect_error(nginx, f'value "{re.escape(value)}" in '
                 '"websocket_ping_interval"',
                 'a time longer than 0, such as "30s", or "off"',
                 http=f"websocket_ping_interval '{value}';")


@pytest.mark.parametrize("name, value", [
    *[("max_message_size", value) for value in NOT_A_SIZE],
    ("max_frame_size", "0"), ("max_frame_size", "1x"),
    ("send_queue", "0"), ("send_queue", "1x"), ("send_queue", "off"),
])
def test_size_directive_refuses(nginx, name, value):
    expect_error(nginx, f'invalid value "{re.escape(value)}" in '
                 f'"websocket_{name}" directive; expected a size larger than '
                 '0, such as "64k"',
                 http=f"websocket_{name} '{value}';")


@pytest.mark.parametrize("value", ["keep", "DROP", "dropp", "''", "1m"])
def test_send_queue_refuses_policy(nginx, value):
    expect_error(nginx, '"websocket_send_queue"', '"close" or "drop"',
                 http=f"websocket_send_queue 1m {value};")


@pytest.mark.parametrize("value", [
    "rate=0/s", "rate=-1/s", "rate=/s", "rate=10", "rate=10/h", "rate=r/s",
    "rate=1.5/s", "rate=1000001/s", "rate=99999999999999999999/s", "rate=",
    "rate=10/s/s", "10/s", "10", "on", "''", "burst=5", "burst=5 burst=5",
    "Rate=1/s", "rate=1/s off", "off rate=1/s", "off off", "rate=1/s rate=1/s",
    "rate=1/s burst=-1", "rate=1/s burst=", "rate=1/s burst=x",
    "rate=1/s burst=1000001", "rate=1/s 5", "rate=1/s nodelay",
])
def test_limit_messages_refuses(nginx, value):
    expect_error(nginx, 'invalid value ".*" in "websocket_limit_messages"',
                 '"rate=N/s"', '"burst=N"', '"off"', "up to 1000000",
                 http=f"websocket_limit_messages {value};")


@pytest.mark.parametrize("value, error", [
    ("none", 'value "none"'), ("Text", 'value "Text"'), ("''", 'value ""'),
    ("text,binary", 'value "text,binary"'), ("any", 'value "any"'),
    ("text text", 'value "text".*each of them once'),
    ("binary binary", 'value "binary".*each of them once'),
    ("text json", 'value "json"'),
])
def test_accept_refuses(nginx, value, error):
    expect_error(nginx, '"websocket_accept"', '"text", "binary"', error,
                 http=f"websocket_accept {value};")


@pytest.mark.parametrize("value, error", [
    ("example.org", 'invalid origin "example.org" in "websocket_origins"'),
    ("*", r"scheme://host\[:port\]"),
    ("''", 'invalid origin ""'),
    ("none", 'invalid origin "none"'),
    ("Same", '"same"'),
    ("wss://example.org", "scheme of the page, https or http"),
    ("ws://*.example.org", "scheme of the page, https or http"),
    ("my_app://localhost", "a scheme is a letter"),
    ("://localhost", "a scheme is a letter"),
    ("Null", "null"),
    ("localhost:3000", "expected scheme://host"),
    ("https://*", "expected scheme://host"),
    ("https://*example.org", r"scheme://\*\.host"),
    ("https://*.example.org/", "not even /"),
    ("https://*.127.0.0.1", "not by an address"),
    ("capacitor://", "host"),
    ("capacitor://localhost/", "not even /"),
    ("file:///", "not even /"),
    ("https://", "host"),
    ("https://a..b", "host"),
    ("https://a/", "not even /"),
    ("https://a/path", "not even /"),
    ("https://a:0", "1 to 65535"),
    ("https://a:65536", "1 to 65535"),
    ("https://a:port", "1 to 65535"),
    ("https://bücher.example", "xn--"),
    ("*.", "host"),
    ("*.*.example", r"\*\.host"),
    ("*.0.0.1", "address"),
    ("same https://a/", "not even /"),
    ("any same", "only argument"),
    ("https://a.example any", "only argument"),
    ("any any", "only argument"),
])
def test_origins_refuses(nginx, value, error):
    expect_error(nginx, '"websocket_origins', error,
                 http=f"websocket_origins {value};")


@pytest.mark.parametrize("value, error", [
    ("'a b'", "spaces or separators"),
    ("a,b", "spaces or separators"),
    ("''", "spaces or separators"),
    ("a/b", "spaces or separators"),
    ("chät", "spaces or separators"),
    ("'\"chat\"'", "spaces or separators"),
    ("chat chat", 'duplicate name "chat"'),
    ("a b c a", 'duplicate name "a"'),
])
def test_subprotocols_refuses(nginx, value, error):
    expect_error(nginx, '"websocket_subprotocols"', error,
                 http=f"websocket_subprotocols {value};")


@pytest.mark.parametrize("line, error", [
    ("websocket nosuch;", 'unknown handler "nosuch" in "websocket" '
                          "directive; available: echo, room"),
    ("websocket Echo;", 'unknown handler "Echo".*available: echo'),
    ("websocket '';", 'unknown handler "".*available: echo'),
    ("websocket nosuch key a=b;", 'unknown handler "nosuch".*echo'),
    ("websocket echo key nosuch=1;", 'parameters of handler "echo".*nosuch'),
    ("websocket echo nosuch=1;", 'parameters of handler "echo".*nosuch'),
    ("websocket echo '';", 'invalid value "".*a key that is not empty'),
    ("websocket echo key a=1 b=2;", 'parameters of handler "echo".*a'),
    ("websocket echo key other;", 'invalid value "other".*name=value'),
    ("websocket echo key =1;", 'invalid value "=1".*name=value'),
])
def test_websocket_refuses(nginx, line, error):
    expect_error(nginx, '"websocket', error,
                 locations=f"location /echo {{ {line} }}")


def test_key_with_an_unknown_variable_is_refused(nginx):
    passed, output = nginx.check("location /echo { websocket echo $nosuch; }")
    assert not passed and 'unknown "nosuch" variable' in output, output


# Refused: number of arguments, duplicates, contexts

@pytest.mark.parametrize("line", ONE_OF_EACH + ["websocket echo;"])
def test_directive_without_argument_is_refused(nginx, line):
    name = line.split()[0]
    expect_error(nginx, f'number of arguments in "{name}"',
                 locations=f"location /echo {{ {name}; }}")


@pytest.mark.parametrize("line", [
    "websocket_accept text binary text;", "websocket_max_message_size 1k 1k;",
    "websocket_max_frame_size 1k 1k;", "websocket_timeout 1s 1s;",
    "websocket_ping_interval 1s off;", "websocket_close_timeout 1s 1s;",
    "websocket_send_queue 1k drop close;", "websocket_send_timeout 1s 1s;",
    "websocket_limit_messages rate=1/s burst=1 burst=1;",
])
def test_directive_with_too_many_arguments_is_refused(nginx, line):
    expect_error(nginx, f'number of arguments in "{line.split()[0]}"',
                 http=line)


@pytest.mark.parametrize("line", ONE_OF_EACH + [
    "websocket_ping_interval off;", "websocket_origins any;",
    "websocket_origins https://a.example;", "websocket_limit_messages off;",
])
def test_duplicate_is_refused(nginx, line):
    expect_error(nginx, f'"{line.split()[0]}" directive is duplicate',
                 locations=f"location /echo {{ websocket echo;"
                           f" {line} {line} }}")


@pytest.mark.parametrize("level", ["http", "server"])
def test_duplicate_is_refused_at(nginx, level):
    expect_error(nginx, '"websocket_timeout" directive is duplicate',
                 **{level: "websocket_timeout 1s; websocket_timeout 1s;"})


def test_second_handler_is_refused(nginx):
    expect_error(nginx, '"websocket" directive is duplicate',
                 locations="location /echo {"
                           " websocket echo; websocket echo key; }")


OURS = ["websocket echo", "websocket_publish echo key", "websocket_status"]
OTHERS = ["proxy_pass http://127.0.0.1:1", "stub_status", "empty_gif"]


@pytest.mark.parametrize("ours", OURS)
@pytest.mark.parametrize("other", OTHERS)
def test_content_handler_beside_that_of_nginx_is_warned_of(nginx, ours, other):
    """nginx uses the last one and reports nothing."""
    name = ours.split()[0]
    passed, output = nginx.check(f"location /a {{ {ours}; {other}; }}")
    assert passed, output
    assert re.search(r'\[warn\] .*another content handler of location "/a", '
                     rf'such as "proxy_pass", replaces "{name}" directive.* '
                     r'in \S+nginx\.conf:\d+$', output, re.MULTILINE), output
    passed, output = nginx.check(f"location /a {{ {other}; {ours}; }}")
    assert passed, output
    assert re.search(rf'\[warn\] .*"{name}" directive replaces another '
                     r'content handler of location "/a".* in '
                     r'\S+nginx\.conf:\d+$', output, re.MULTILINE), output


@pytest.mark.parametrize("ours", OURS)
def test_content_handlers_of_blocks_are_not_warned_of(nginx, ours):
    passed, output = nginx.check(f"""location /a {{
        {ours};
        if ($arg_other) {{ proxy_pass http://127.0.0.1:1; }}
        limit_except GET {{ proxy_pass http://127.0.0.1:1; }}
        location /a/inner {{ proxy_pass http://127.0.0.1:1; }}
    }}
    location /b {{ return 404; }}""")
    assert passed and "[warn]" not in output, output


@pytest.mark.parametrize("options", [
    {"http": "websocket echo;"}, {"server": "websocket echo;"},
    {"main": "websocket echo;"}, {"main": "websocket_timeout 1s;"},
    {"events": "websocket_timeout 1s;"},
    {"http": "upstream u { server 127.0.0.1:1; websocket_timeout 1s; }"},
    {"server": "if ($host) { websocket echo; }"},
    {"locations": "location /echo { if ($host) { websocket echo; } }"},
    {"locations": "location /a { limit_except GET { websocket echo; } }"},
    {"locations": "location /a { if ($host) { websocket_timeout 1s; } }"},
], ids=lambda options: " ".join(options.values()))
def test_directive_outside_its_contexts_is_refused(nginx, options):
    expect_error(nginx, '"websocket(_timeout)?" directive is not allowed here',
                 **options)
