"""Redis Cluster: resources on all nodes, also while slots move and masters
die."""

import contextlib

import pytest

import direct_client
from certificates import Authority
from fake_node import FakeNode
from hosts import SHORT_TIMEOUTS, Host
from nginx_server import seconds, wait_until
from readme_acl import acl_command
from redis_client import RedisError
from redis_cluster import redis_version, slot_of
from redis_faults import (Received, try_to_connect, wait_until_joined,
                          wait_until_published)
from room_client import read_data, send_text
from shard_traffic import LOCATIONS, publish, room, traffic
from socket_table import connections_of
from status_reader import report_of

# Longer than a busy machine takes, for tests in which no node fails.
PATIENT = "connect_timeout=10s command_timeout=10s"

RANGES = [(0, 5460), (5461, 10921), (10922, 16383)]  # slots of the masters


@pytest.fixture(scope="module", autouse=True)
def require_version_7():
    if redis_version() < 7:
        pytest.skip("a cluster requires Redis 7.0")


@pytest.fixture
def fake():
    """Starts a FakeNode with these options."""
    with contextlib.ExitStack() as stack:
        def start(**options):
            node = FakeNode(**options)
            stack.callback(node.close)
            return node
        yield start


def start(hosts, cluster, options=SHORT_TIMEOUTS, **more):
    """Starts two hosts with two workers each."""
    group = hosts(LOCATIONS, redis=cluster, options=options, **more)
    group.allow_redis_errors()
    return group


def check_shards(group, shards=range(16)):
    """Messages reach all hosts in a room of each shard."""
    for shard in shards:
        clients = [wait_until_joined(host, room(shard)) for host in group]
        for host in group:
            text = wait_until_published(host, publish(shard), "post")
            for client in clients:
                assert Received(client, text).messages
        for client in clients:
            client.disconnect()


def test_rooms_span_hosts_on_all_nodes(hosts, cluster):
    group = start(hosts, cluster, PATIENT)
    for shard in range(16):
        clients = group.on_each_worker(Host.join, room(shard))
        for number, client in enumerate(clients):
            send_text(client, f"{number}")
            for other in clients:
                assert read_data(other) == [f"{number}"]
    for node in cluster.masters:
        assert node.keys("ws:{*}entries") == sorted(
            f"ws:{{{shard}}}entries" for shard in range(16)
            if cluster.node_of(shard) is node)
        assert node.command("PUBSUB", "SHARDCHANNELS")
    for host in group:
        assert "[error]" not in host.server.log()


# Slots move

def test_slot_moves_while_messages_flow(hosts, cluster):
    group = start(hosts, cluster, PATIENT)
    shards = [3, 5, 9]
    with traffic(group, shards) as flow:
        flow.wait_for(20)
        for shard in shards:
            source = cluster.node_of(shard)
            cluster.move(shard, cluster.other_than(source))
            flow.wait_for(20)
            cluster.move(shard, source)
            flow.wait_for(20)
        flow.check_that_nothing_is_lost()


def test_slot_that_moves_slowly_delays_only_its_shard(hosts, cluster):
    """Its messages wait until the keys are together again; all other shards
    work meanwhile."""
    group = start(hosts, cluster, PATIENT)
    with traffic(group, [3, 5]) as flow:
        flow.wait_for(20)
        to = cluster.other_than(cluster.node_of(3))
        with cluster.moving(3, to) as move_keys:
            flow.wait_for(20)
            move_keys(count=1)
            flow.wait_for(50, [5])
        flow.wait_for(20)
        flow.check_that_nothing_is_lost()


def test_keys_are_followed_before_their_slot(hosts, cluster):
    """ASK: all keys have moved, and the slot has not."""
    group = start(hosts, cluster, PATIENT)
    with traffic(group, [3]) as flow:
        flow.wait_for(20)
        to = cluster.other_than(cluster.node_of(3))
        with cluster.moving(3, to) as move_keys:
            move_keys()
            flow.wait_for(100)
            assert to.keys("ws:{3}entries")
        flow.wait_for(20)
        flow.check_that_nothing_is_lost()


def test_node_that_has_got_a_slot_is_no_longer_asked(hosts, cluster):
    """Calls with ASKING go on to work after the move. The node that had the
    slot must be forgotten."""
    group = start(hosts, cluster, PATIENT)
    with traffic(group, [3]) as flow:
        to = cluster.other_than(cluster.node_of(3))
        with cluster.moving(3, to) as move_keys:
            move_keys()
            flow.wait_for(20)
            assert to.calls("asking")

        def is_asked():
            before = to.calls("asking")
            flow.wait_for(20)
            return to.calls("asking") != before
        wait_until(lambda: not is_asked(), seconds(10), "the end of ASKING")
        flow.check_that_nothing_is_lost()


def test_single_clients_and_users_across_hosts(cluster, hosts):
    """Also after the slot of the inboxes has moved. The first request of each
    worker is refused then: it is not sent twice."""
    group = hosts(direct_client.LOCATIONS, redis=cluster, options=PATIENT)
    group.allow_redis_errors()
    clients = [direct_client.join_as(host, "ann") for host in group]

    def post(host, path, text):
        def answered():
            found = direct_client.ask(host.server, "POST", path, text,
                                      seconds(15))
            return found if found[0] != 503 else None
        return wait_until(answered, seconds(10), "an answer")

    def check(text):
        for host in group:
            assert post(host, "/to?user=ann", text) == (200, {"clients": 2})
        for client, host in zip(clients, reversed(group.hosts)):
            path = f"/to?client={direct_client.number(client)}"
            assert post(host, path, text) == (200, {"clients": 1})
            assert [direct_client.direct(client) for _ in range(3)] == 3 * [
                text]

    check("before")
    cluster.move(0, cluster.other_than(cluster.node_of(0)))
    check("after")


def test_idle_leader_follows_a_slot(hosts, cluster):
    """No command is redirected: the node ends the subscription."""
    group = start(hosts, cluster, PATIENT)
    client = group[1].join(room(3))
    source = cluster.node_of(3)
    to = cluster.other_than(source)
    wait_until(lambda: source.command("PUBSUB", "SHARDCHANNELS", "ws:{3}*"),
               seconds(5), "a subscription")
    cluster.move(3, to)
    wait_until(lambda: to.command("PUBSUB", "SHARDCHANNELS", "ws:{3}*"),
               seconds(1.5), "the subscription")
    text = wait_until_published(group[0], publish(3), "post")
    assert Received(client, text).data == [text]


def test_channel_of_a_room_that_empties_during_a_move_is_left(hosts, cluster):
    """The move is given up, so the node does not end the subscription."""
    group = start(hosts, cluster, PATIENT)
    client = group[0].join(room(3))
    slot, source = slot_of(3), cluster.node_of(3)
    to = cluster.other_than(source)
    wait_until(lambda: source.command("PUBSUB", "SHARDCHANNELS", "ws:{3}*"),
               seconds(5), "a subscription")
    to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id_of(source))
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.id_of(to))
    move = "MIGRATE", "127.0.0.1"
    source.command(*move, to.port, "ws:{3}pos", 0, 5000)
    client.disconnect()
    wait_until(lambda: not report_of(group[0].server)["redis"]["resources"],
               seconds(10), "the end of the room")
    source.command("CLUSTER", "SETSLOT", slot, "STABLE")
    # The host may have created the key again by now
    to.command(*move, source.port, "ws:{3}pos", 0, 5000, "REPLACE")
    to.command("CLUSTER", "SETSLOT", slot, "STABLE")
    wait_until(lambda: not source.command("PUBSUB", "SHARDCHANNELS", "ws:{3}*"),
               seconds(5), "the end of the subscription")
    check_shards(group, [3])


# Masters die

@pytest.mark.alone
@pytest.mark.parametrize("trouble", ["kill", "freeze"])
def test_master_dies_while_messages_flow(hosts, start_cluster, trouble):
    cluster = start_cluster(node_timeout=1000,
                            cluster_require_full_coverage="no")
    group = start(hosts, cluster)
    dead = cluster.node_of(3)
    other = next(shard for shard in range(16)
                 if cluster.node_of(shard) is not dead)
    with traffic(group, [3, other]) as flow:
        flow.wait_for(20)
        getattr(dead, trouble)()
        flow.wait_for(50, [other])
        flow.wait_for(50, [3])
        rooms = {shard: (publishers, received)
                 for shard, publishers, received in flow.finish()}
    newcomer = group.add()
    newcomer.server.allow_errors("websocket: .*[Rr]edis")
    for shard, (publishers, received) in rooms.items():
        text = wait_until_published(newcomer, publish(shard), "newcomer")
        kept = Received(
            wait_until_joined(newcomer, f"{room(shard)}&since=0"), text)
        kept.check()
        for each in received:
            assert set(kept.data) - {text} <= set(each.data)
        if shard == other:
            for each in publishers:
                assert not each.refused and not each.unknown
                assert set(map(str, each.ids)) <= set(kept.data)
            assert not any(each.gaps for each in received)


@pytest.mark.alone
def test_planned_failover_loses_nothing(hosts, start_cluster):
    cluster = start_cluster(node_timeout=5000)
    group = start(hosts, cluster, PATIENT)
    with traffic(group, [3]) as flow:
        flow.wait_for(20)
        master = cluster.node_of(3)
        cluster.replica_of(master).command("CLUSTER", "FAILOVER")
        wait_until(lambda: cluster.node_of(3) is not master, seconds(10),
                   "the failover")
        flow.wait_for(50)
        flow.check_that_nothing_is_lost()


@pytest.mark.alone
def test_silent_master_is_left_before_it_is_needed(hosts, start_cluster):
    """All workers have connected to the new one when a message comes."""
    cluster = start_cluster(node_timeout=1000,
                            cluster_require_full_coverage="no")
    group = start(hosts, cluster, "connect_timeout=2s command_timeout=2s")
    check_shards(group, [3])
    master = cluster.node_of(3)
    pids = [pid for host in group for pid in host.pids()]
    new = cluster.replica_of(master)
    with master.frozen():
        wait_until(lambda: all(connections_of(pid, new.port) for pid in pids),
                   seconds(15), "the new master")
        client = group[1].join(room(3))
        group[0].post(publish(3), "text")
        assert Received(client, "text").data == ["text"]


def test_room_of_another_node_opens_while_one_is_down(hosts, cluster):
    group = start(hosts, cluster)
    check_shards(group, [3, 5])
    cluster.node_of(3).kill()
    cluster_is_partial(cluster)
    check_shards(group, [5])


def cluster_is_partial(cluster):
    """Without this a cluster with a slot that no node has refuses all."""
    for node in cluster.running():
        node.config_set("cluster-require-full-coverage", "no")


# Wrong nodes

def test_dead_nodes_are_passed_over(hosts, cluster):
    cluster.move(3, cluster.masters[1])
    url = cluster.url([1, cluster.masters[2].port])
    group = start(hosts, cluster, url=url)
    check_shards(group, [3, 5])


def test_password_and_tls_are_used(hosts, start_cluster, tmp_path):
    authority = Authority(tmp_path)
    cluster = start_cluster(replicas=0, requirepass="secret",
                            tls=authority.sign("right"))
    group = start(hosts, cluster,
                  f"{SHORT_TIMEOUTS} ca={authority.certificate}")
    check_shards(group, [3, 5, 9])


def test_user_of_the_readme_suffices(hosts, cluster):
    for node in cluster.masters:
        assert node.command(*acl_command()) == "OK"
    url = cluster.url().replace("//", "//websocket:secret@")
    group = start(hosts, cluster, url=url)
    check_shards(group, [3])
    cluster.move(3, cluster.other_than(cluster.node_of(3)))
    check_shards(group)
    for node in cluster.masters:
        assert not node.command("ACL", "LOG")


def test_redis_without_cluster_is_an_error(hosts, redis):
    group = start(hosts, redis, url=f"cluster://127.0.0.1:{redis.port}")
    for host in group:
        host.server.wait_for_log(
            rf"\[error\].* cannot use Redis at cluster://127.0.0.1:"
            rf"{redis.port}: 127.0.0.1:{redis.port}: ERR This instance has "
            "cluster support disabled; retrying")
        assert try_to_connect(host, room(3))[0] == 503


def test_redis_before_version_7_is_an_error(hosts, redis, fake):
    node = fake(version="6.2.14")
    group = start(hosts, redis, url=f"cluster://127.0.0.1:{node.port}")
    for host in group:
        host.server.wait_for_log(
            rf"\[error\].* Redis at 127.0.0.1:{node.port}: Redis Cluster "
            "requires Redis 7.0 or later; retrying")
        assert try_to_connect(host, room(3))[0] == 503


def test_node_that_names_a_dead_master_is_passed_over(hosts, cluster, fake):
    """It was cut off from the others."""
    stale = fake(slots=[[0, 16383, ["127.0.0.1", 1, "id"]]])
    group = start(hosts, cluster,
                  url=cluster.url([stale.port, cluster.masters[0].port]))
    check_shards(group)


def test_node_that_names_no_address_is_used_itself(hosts, cluster, fake):
    """Some versions do not send their own, and "?" for one that they do not
    know."""
    slots = [[0, 16383, ["?", 1, "id"]],
             *([first, last, ["", node.port, "id"]]
               for node, (first, last) in zip(cluster.masters, RANGES))]
    group = start(hosts, cluster,
                  url=cluster.url([fake(slots=slots).port]))
    check_shards(group)


def test_dead_cluster_is_reported_and_tried_again(hosts, cluster):
    for node in cluster.masters:
        node.kill()
    group = start(hosts, cluster)
    refused = r"connect\(\) failed \(111: Connection refused\)"
    faults = "; ".join(rf"127.0.0.1:{node.port}: {refused}"
                       for node in cluster.masters)
    for host in group:
        host.server.wait_for_log(
            rf"\[error\].* cannot use Redis at cluster://\S+: {faults}; "
            "retrying")
        assert try_to_connect(host, room(3))[0] == 503
    for node in cluster.masters:
        node.start()
    check_shards(group, [3, 5])


def test_slot_without_a_node_is_an_error(hosts, cluster):
    cluster_is_partial(cluster)
    for node in cluster.masters:
        with contextlib.suppress(RedisError):
            node.command("CLUSTER", "DELSLOTS", slot_of(3))
    group = start(hosts, cluster)
    for host in group:
        host.server.wait_for_log(
            r"\[error\].* no node of Redis at cluster://\S+ has the slot "
            f"{slot_of(3)}: resources in it are unreachable; retrying")
    check_shards(group, [5])
    assert try_to_connect(group[0], room(3))[0] == 503
