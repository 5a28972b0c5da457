"""TLS to Redis: accepted and refused certificates, and the same behaviour as
without it."""

import re
import socket
import ssl

import pytest

from certificates import Authority
from config_errors import expect_error
from hosts import SHORT_TIMEOUTS, Host
from nginx_server import seconds
from redis_faults import (Received, try_to_connect, wait_until_joined,
                          wait_until_published)
from room_client import publish, read, read_data, send_text

LOCATIONS = """
location /room {
    websocket room room history=100; websocket_send_queue 32m;
}
location /publish { websocket_publish room room; }
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Another authority."""
    return Authority(tmp_path_factory.mktemp("tls"), "stranger")


@pytest.fixture(scope="module")
def right(authority):
    return authority.sign("right")


def start(hosts, redis, authority, more="", **options):
    group = hosts(LOCATIONS, redis=redis, options=f"{SHORT_TIMEOUTS} "
                  f"ca={authority.certificate} {more}", **options)
    group.allow_redis_errors()
    return group


def check_that_hosts_work(group):
    near, far = (wait_until_joined(host, "/room") for host in group)
    message = publish(near, "text")
    assert read(far) == message
    message = publish(far, "back")
    assert read(near) == message


def errors(host):
    return re.findall(r"(?m)^.*\[(?:error|crit|alert|emerg)\].*$",
                      host.server.log())


# Accepted

def test_room_spans_hosts_over_tls(hosts, start_redis, authority, right):
    group = start(hosts, start_redis(tls=right), authority)
    clients = group.on_each_worker(Host.join, "/room")
    for number, client in enumerate(clients):
        send_text(client, f"{number}")
        for other in clients:
            assert Received(other, f"{number}").data == [f"{number}"]
    assert group.redis.info("stats")["total_connections_received"]
    for host in group:
        assert not errors(host)


def test_password_and_database_work_over_tls(hosts, start_redis, authority,
                                             right):
    redis = start_redis(tls=right, requirepass="secret")
    group = start(hosts, redis, authority, url=f"{redis.url()}/2")
    check_that_hosts_work(group)


def test_server_name_is_the_one_to_verify(hosts, start_redis, authority):
    redis = start_redis(tls=authority.sign("named", names="DNS:redis.example"))
    group = start(hosts, redis, authority, "server_name=redis.example")
    check_that_hosts_work(group)


def test_address_of_the_certificate_is_enough(hosts, start_redis, authority):
    redis = start_redis(tls=authority.sign("address", names="IP:127.0.0.1"))
    check_that_hosts_work(start(hosts, redis, authority))


def test_certificate_is_sent_to_a_server_that_wants_one(
        hosts, start_redis, authority, right):
    redis = start_redis(tls=right, tls_auth_clients="yes")
    group = start(hosts, redis, authority,
                  f"cert={right.certificate} key={right.key}")
    check_that_hosts_work(group)


def test_certificate_is_not_verified_if_that_is_off(
        hosts, start_redis, nginx, stranger, authority):
    redis = start_redis(tls=stranger.sign("unknown", names="DNS:other"))
    group = start(hosts, redis, authority, "verify=off")
    check_that_hosts_work(group)
    passed, output = nginx.check(
        http="websocket_redis rediss://127.0.0.1 verify=off;")
    assert passed
    assert len(re.findall(r"\[warn\] .*verify=off.* not verified in "
                          r"\S+nginx.conf:\d+", output)) == 1


def test_name_is_sent_in_the_handshake(hosts, authority, right):
    names = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(right.certificate, right.key)
    context.sni_callback = lambda _, name, *__: names.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        group = start(hosts, None, authority, count=1, workers=1,
                      http=f"websocket_redis rediss://localhost:{port} "
                      f"ca={authority.certificate};")
        listener.settimeout(seconds(10))
        client = context.wrap_socket(listener.accept()[0], server_side=True)
        client.close()
    assert names == ["localhost"]
    group.allow_redis_errors()


# Refused certificates

PAST = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
FUTURE = ["-startdate", "20990101000000Z", "-enddate", "20990102000000Z"]


def check_refused(group, reason):
    """One line of the log has the reason, and none is critical."""
    for host in group:
        assert try_to_connect(host, "/room")[0] == 503
        host.server.wait_for_log(
            rf"\[error\].* cannot use Redis at \S+:\d+: {reason}")
        for line in errors(host):
            assert "[error]" in line and "cannot use Redis" in line, line
        assert len(errors(host)) <= len(host.pids())


@pytest.mark.parametrize("dates, names, reason", [
    (PAST, "IP:127.0.0.1", "its certificate has expired"),
    (FUTURE, "IP:127.0.0.1", "its certificate is not yet valid"),
    ([], "IP:127.0.0.2",
     'its certificate is not for the name "127.0.0.1"'),
    ([], "DNS:127.0.0.1",
     'its certificate is not for the name "127.0.0.1"')])
def test_wrong_certificate_is_refused(hosts, start_redis, authority, dates,
                                      names, reason):
    wrong = authority.sign("wrong", *dates, names=names)
    check_refused(start(hosts, start_redis(tls=wrong), authority), reason)


def test_certificate_for_another_name_is_refused(hosts, start_redis, authority,
                                                 right):
    group = start(hosts, start_redis(tls=right), authority,
                  "server_name=redis.example")
    check_refused(group, 'its certificate is not for the name "redis.example"')


@pytest.mark.parametrize("trusted", ["stranger", "system"])
def test_certificate_of_an_unknown_authority_is_refused(
        hosts, start_redis, right, stranger, trusted):
    options = f"ca={stranger.certificate}" if trusted == "stranger" else ""
    group = hosts(LOCATIONS, redis=start_redis(tls=right),
                  options=f"{SHORT_TIMEOUTS} {options}")
    group.allow_redis_errors()
    check_refused(group, "its certificate is not trusted: ")


def test_server_that_wants_a_certificate_refuses_without_one(
        hosts, start_redis, authority, right):
    redis = start_redis(tls=right, tls_auth_clients="yes")
    group = start(hosts, redis, authority)
    check_refused(group, ".*certificate required")


def test_server_without_tls_is_refused(hosts, start_redis, authority):
    redis = start_redis()
    group = start(hosts, redis, authority,
                  url=redis.url().replace("redis", "rediss"))
    check_refused(group, r"(?:SSL_do_handshake\(\) failed .*wrong version number"
                  "|not ready within connect_timeout)")


def test_server_with_tls_is_refused_without_it(hosts, start_redis, right):
    redis = start_redis(tls=right)
    group = hosts(LOCATIONS, redis=redis, options=SHORT_TIMEOUTS,
                  url=redis.url().replace("rediss", "redis"))
    group.allow_redis_errors()
    check_refused(group, "(?:Redis closed the connection|recv.. failed)")


# Faults

@pytest.mark.parametrize("way", ["cut", "reset", "half_close", "blackhole"])
def test_cut_connection_is_healed(hosts, start_redis, authority, right, way):
    group = start(hosts, start_redis(tls=right), authority, proxies=True)
    clients = group.on_each_worker(Host.join, "/room")
    getattr(group[0].proxy, way)()
    group[0].proxy.restore()
    for index, host in enumerate(group):
        last = wait_until_published(host, "/publish", f"after {index}")
        for client in clients:
            received = Received(client, last)
            received.check()
            assert not received.gaps
    for host in group:
        assert all("[error]" in line for line in errors(host))


def test_garbage_ends_the_connection(hosts, start_redis, authority, right):
    group = start(hosts, start_redis(tls=right), authority, proxies=True)
    clients = group.on_each_worker(Host.join, "/room")
    group[0].proxy.inject(b"garbage instead of a record")
    group[0].server.wait_for_log(r"lost connection to Redis.*SSL_read\(\) fail")
    last = wait_until_published(group[0], "/publish", "after")
    for client in clients:
        Received(client, last).check()


def test_records_in_pieces_of_one_byte(hosts, start_redis, authority, right):
    """Thousands of sends, which take a busy machine more than 500 ms."""
    group = hosts(LOCATIONS, redis=start_redis(tls=right), proxies=True,
                  options="connect_timeout=5s command_timeout=5s "
                  f"ca={authority.certificate}")
    group.allow_redis_errors()
    for host in group:
        host.proxy.set_piece(1)
        host.proxy.reset()
    check_that_hosts_work(group)


def test_socket_that_is_full_accepts_commands_in_parts(
        hosts, start_redis, authority, right):
    """More commands follow a part, so that the others move in memory."""
    group = hosts(LOCATIONS, redis=start_redis(tls=right), workers=1, options=(
        f"ca={authority.certificate} queue=64m command_timeout=30s"))
    near, far = (wait_until_joined(host, "/room") for host in group)
    texts = [f"{number} " + "x" * 900_000 for number in range(20)]
    with group.redis.frozen():
        for text in texts:
            send_text(near, text)
        near.expect_alive()
    for client in (near, far):
        assert read_data(client, len(texts)) == texts


# Reloads

def test_reload_takes_another_authority(hosts, start_redis, authority, right,
                                        stranger):
    group = start(hosts, start_redis(tls=right), stranger)
    check_refused(group, "its certificate is not trusted")
    for host in group:
        host.server.rewrite_config(stranger.certificate,
                                   authority.certificate)
        old = host.server.reload()
        host.server.wait_for_workers_gone(old)
    check_that_hosts_work(group)


def test_reload_keeps_the_room(hosts, start_redis, authority, right):
    group = start(hosts, start_redis(tls=right), authority)
    client = group[0].join("/room")
    first = publish(client, "first")["id"]
    group[1].server.wait_for_workers_gone(group[1].server.reload())
    late = wait_until_joined(group[1], "/room?since=0")
    assert read(late)["id"] == first
    message = publish(late, "second")
    assert read(client) == message


# The directive

def test_parameters_are_accepted(nginx, right):
    passed, output = nginx.check(http=(
        "websocket_redis rediss://chat:secret@127.0.0.1:6380/2 "
        f"ca={right.authority} cert={right.certificate} key={right.key} "
        "verify=on server_name=redis.example prefix=a;"))
    assert passed and "[warn]" not in output, output


@pytest.mark.parametrize("parameters, pattern", [
    ("ca=missing.pem", r'cannot use TLS in "websocket_redis" directive: '
     r'.*"/\S+/missing.pem".* in \S+nginx.conf:\d+'),
    ("cert=missing.pem key=missing.key", r'cannot use TLS in "websocket_redis"'
     r' directive: cannot load certificate "/\S+/missing.pem".*'
     r" in \S+nginx.conf:\d+"),
    ("cert=a.pem", '"cert=" and "key=" in "websocket_redis" directive require'),
    ("key=a.pem", '"cert=" and "key=" in "websocket_redis" directive require'),
    ("ca=", 'invalid value "" of "ca="'),
    ("server_name=", 'invalid value "" of "server_name="'),
    ("verify=no", 'invalid value "no" of "verify=".* "on" or "off"'),
    ("verify=on verify=on", 'duplicate parameter "verify="')])
def test_wrong_parameter_is_refused(nginx, parameters, pattern):
    http = f"websocket_redis rediss://:secret@127.0.0.1 {parameters};"
    expect_error(nginx, pattern, http=http)
    _, output = nginx.check(http=http)
    assert output.count("[emerg]") == 1 and "secret" not in output, output


def test_key_of_another_certificate_is_refused(nginx, right, stranger):
    other = stranger.sign("other")
    expect_error(nginx, "cannot use TLS in .*key values mismatch", http=(
        f"websocket_redis rediss://127.0.0.1 cert={right.certificate} "
        f"key={other.key};"))


@pytest.mark.parametrize("parameter", ["ca=a.pem", "cert=a.pem", "key=a.pem",
                                       "verify=on", "server_name=a"])
@pytest.mark.parametrize("address", ["redis://127.0.0.1", "unix:/redis.sock"])
def test_parameter_without_tls_is_refused(nginx, parameter, address):
    name = parameter.partition("=")[0]
    expect_error(nginx, f'"{name}=" in "websocket_redis" directive requires an '
                 'address that begins with "rediss://"',
                 http=f"websocket_redis {address} {parameter};")
