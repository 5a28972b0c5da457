"""The harness for Redis itself: the server, the client, the relay."""

import os
import socket
import threading
import time

import pytest

from redis_client import RedisClient, RedisError
from redis_server import connections_of
from tcp_proxy import DOWN, UP, SlowRelay


@pytest.fixture
def relay(redis):
    relay = SlowRelay(redis.port)
    yield relay
    relay.close()


def through(relay, **options):
    return RedisClient(("127.0.0.1", relay.port), **options)


# The server and the client

def test_replies_of_all_kinds(redis):
    with redis.client() as client:
        assert client.ask("SET", "a", "ä") == "OK"
        assert client.ask("GET", "a") == "ä"
        assert client.ask("SET", "b", b"\xff\r\n") == "OK"
        assert client.ask("MGET", "a", "b", "c") == ["ä", b"\xff\r\n", None]
        assert client.ask("INCR", "n") == 1
        with pytest.raises(RedisError, match="WRONGTYPE"):
            client.ask("LPUSH", "a", 1)
        assert client.ask("PING") == "PONG"
    assert redis.keys() == ["a", "b", "n"]
    redis.flushall()
    assert redis.keys() == []


def test_it_is_on_loopback_and_ends(start_redis):
    redis = start_redis()
    assert redis.command("CONFIG", "GET", "bind")[1] == "127.0.0.1"
    redis.remove()
    assert not os.path.exists(f"/proc/{redis.pid}")
    assert not os.path.exists(redis.folder)


def test_unix_socket(start_redis):
    redis = start_redis(unix=True)
    with RedisClient(redis.path) as client:
        assert client.ask("PING") == "PONG"
    assert redis.url("unix") == f"unix:{redis.path}"


@pytest.mark.parametrize("keep", [True, False])
def test_what_a_restart_leaves(start_redis, keep):
    redis = start_redis(keep=keep)
    port, pid = redis.port, redis.pid
    redis.command("SET", "a", "1")
    redis.restart()
    assert redis.port == port and redis.pid != pid
    assert redis.command("GET", "a") == ("1" if keep else None)
    redis.command("SET", "a", "2")
    redis.stop()
    assert not redis.running
    with pytest.raises(OSError):
        redis.command("PING")
    redis.start(empty=True)
    assert redis.command("GET", "a") is None


def test_frozen_it_answers_late(redis):
    with redis.client() as client:
        with redis.frozen():
            client.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.ask("PING")
    assert redis.command("PING") == "PONG"


def test_stop_ends_a_frozen_one(redis):
    redis.freeze()
    redis.stop()
    assert not redis.running


def test_password(redis):
    redis.config_set("requirepass", "secret")
    assert redis.command("PING") == "PONG"
    assert f":secret@127.0.0.1:{redis.port}" in redis.url()
    with pytest.raises(RedisError, match="NOAUTH"):
        with RedisClient(("127.0.0.1", redis.port)) as client:
            client.ask("PING")
    redis.restart()
    assert redis.command("PING") == "PONG"
    with pytest.raises(RedisError, match="NOAUTH"):
        with RedisClient(("127.0.0.1", redis.port)) as client:
            client.ask("PING")


def test_memory_runs_out(redis):
    redis.config_set("maxmemory", "1mb")
    with pytest.raises(RedisError, match="OOM"):
        for number in range(3):
            redis.command("SET", f"k{number}", b"x" * 1000000)
    redis.flushall()
    assert redis.command("PING") == "PONG"


def test_connections_and_subscriptions_are_told(redis):
    with redis.client() as one, redis.client() as two:
        one.ask("SUBSCRIBE", "a")
        one.ask("SUBSCRIBE", "b")
        two.ask("SUBSCRIBE", "a")
        assert redis.subscriptions() == {"a": 2, "b": 1}
        assert redis.subscriptions("b*") == {"b": 1}
        assert len(redis.subscribers()) == len(redis.connections()) == 2
        assert connections_of(os.getpid(), redis.port) >= {
            client.socket.getsockname()[1] for client in (one, two)}
        redis.client_kill(redis.subscribers()[0])
        assert len(redis.connections()) == 1
        redis.client_kill()
        assert redis.connections() == []
        with pytest.raises(ConnectionError):
            two.read()


def test_message_reaches_a_subscriber(redis):
    with redis.client() as client:
        client.ask("SUBSCRIBE", "a")
        assert redis.command("PUBLISH", "a", "x") == 1
        assert client.read() == ["message", "a", "x"]


# The relay

def test_relay_passes_all_on(relay):
    data = os.urandom(3000000)
    with through(relay) as client:
        assert client.ask("SET", "a", data) == "OK"
        assert client.ask("GET", "a") == data
    assert relay.passed[UP] > len(data) < relay.passed[DOWN]


def test_relay_takes_its_time(relay):
    with through(relay) as client:
        relay.slow_down(0.1)
        began = time.monotonic()
        assert client.ask("PING") == "PONG"
        assert 0.2 <= time.monotonic() - began < 2
        relay.heal()
        assert client.ask("PING") == "PONG"


@pytest.mark.parametrize("way, known", [(UP, None), (DOWN, "1")])
def test_relay_holds_one_way(redis, relay, way, known):
    with through(relay) as client:
        client.ask("PING")
        relay.hold(way)
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.ask("SET", "a", "1")
        assert redis.command("GET", "a") == known
    with through(relay) as client:
        relay.release()
        assert client.ask("PING") == "PONG"


def test_relay_lets_in_and_never_answers(relay):
    relay.hold()
    with through(relay, timeout=0.1) as client:
        with pytest.raises(TimeoutError):
            client.ask("PING")


def test_held_back_is_lost_in_a_reset(redis, relay):
    with through(relay) as client:
        client.ask("PING")
        relay.hold()
        client.socket.sendall(b"SET a 1\r\n")
        relay.reset()
        with pytest.raises(ConnectionResetError):
            client.read()
    relay.release()
    with through(relay) as client:
        assert client.ask("GET", "a") is None


def test_cut_relay_refuses_until_it_is_healed(relay):
    with through(relay) as client:
        client.ask("PING")
        relay.cut()
        with pytest.raises(OSError):
            client.ask("PING")
    with pytest.raises(ConnectionRefusedError):
        through(relay)
    relay.heal()
    with through(relay) as client:
        assert client.ask("PING") == "PONG"


def test_deaf_relay_does_not_answer_at_all(relay):
    relay.deafen()
    with pytest.raises(TimeoutError):
        through(relay, timeout=0.1)
    relay.heal()
    with through(relay) as client:
        assert client.ask("PING") == "PONG"


def test_relay_resets_where_there_is_no_server(redis, relay):
    redis.kill()
    with pytest.raises((ConnectionError, BrokenPipeError)):
        with through(relay) as client:
            client.ask("PING")
    redis.start()
    with through(relay) as client:
        assert client.ask("PING") == "PONG"


def test_end_of_the_server_goes_through(redis, relay):
    with through(relay) as client:
        client.ask("PING")
        redis.stop()
        with pytest.raises(ConnectionError):
            client.read()


def test_closed_relay_has_no_thread(redis):
    before = threading.active_count()
    relay = SlowRelay(redis.port)
    assert threading.active_count() == before + 1
    relay.close()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", relay.port))
