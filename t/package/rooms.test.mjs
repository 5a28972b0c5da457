import assert from "node:assert/strict";
import { test } from "node:test";

import { Rooms } from "../../src/client/package/index.js";
import { at, closing, peers, recorded, settled, socket, turn }
    from "./harness.mjs";

const make = (options = {}) => closing(new Rooms("wss://example.org/live",
    { ...peers, transport: "websocket", first_delay: 0, ...options }));

const welcome = (client = 7) =>
    socket().deliver({ type: "welcome", client, user: "42", expires: null });

// Answers the last request.
function answer(rooms, refused = {}) {
    const { ref } = socket().sent.at(-1);
    const entries = Object.entries(rooms).map(([name, last]) =>
        [name, { last, clients: 1, recovered: true }]);
    return socket().deliver({ type: "subscribed", ref, refused,
                              rooms: Object.fromEntries(entries) });
}

const in_room = (room) => ({ room });

test("rooms of one turn are in one request", async () => {
    const rooms = make();
    const [a, b] = [rooms.subscribe("a", { history: 2 }),
                    rooms.subscribe("b", { since: "5-3" })];
    welcome();
    await turn();
    assert.deepEqual(socket().sent, [{ subscribe: ["a", "b"], ref: 1,
                                       since: { a: "0", b: "5-3" } }]);
    answer({ a: "5-9" }, { b: "no pattern" });
    assert.equal((await a).name, "a");
    assert.equal((await a).subscribed, true);
    assert.equal(await settled(b), "not: no pattern");
});

test("a page that awaits a room misses none of its events", async () => {
    const rooms = make();
    const all = recorded(rooms);
    const ids = [];
    const wait = (async () => {
        const later = async () => rooms.subscribe("a", { history: 9 });
        const room = await later();
        room.addEventListener("message", ({ detail }) => ids.push(detail.id));
    })();
    welcome();
    await turn();
    answer({ a: "5-2" }).message("5-1", "x", in_room("a"))
        .message("5-2", "y", in_room("a")).message("5-3", "z", in_room("a"));
    await wait;
    assert.deepEqual(ids, []);
    await at(0);
    assert.deepEqual(ids, ["5-1", "5-2", "5-3"]);
    assert.deepEqual(all().slice(1), [
        "a subscribed false true", "a message 5-1 missed",
        "a message 5-2 missed", "caught up 2 true", "a message 5-3"]);
});

test("a connection that breaks while events are held loses none", async () => {
    const rooms = make();
    const room = rooms.subscribe("a");
    welcome();
    await turn();
    answer({ a: "5-0" }).message("5-1", "x", in_room("a")).lose();
    const events = recorded(await room);
    await at(0);
    welcome();
    await turn();
    assert.deepEqual(socket().sent[0].since, { a: "5-0" });
    answer({ a: "5-1" }).message("5-1", "x", in_room("a"));
    await at(0);
    assert.deepEqual(events().filter((each) => each.startsWith("message")),
                     ["message 5-1 missed"]);
});

test("each room has its own position and publications", async () => {
    const rooms = make();
    const a = rooms.subscribe("a");
    const b = rooms.subscribe("b");
    welcome();
    await turn();
    answer({ a: "5-0", b: "6-0" });
    await at(0);
    const results = [settled((await a).publish("x")),
                     settled((await b).publish("x"))];
    assert.deepEqual(socket().sent.slice(1).map(({ publish }) => publish),
                     ["a", "b"]);
    socket().lose();
    await at(0);
    welcome(8);
    await turn();
    answer({ a: "5-1", b: "6-1" });
    socket().message("5-1", "x", { room: "a", from: 7 })
        .message("6-1", "x", { room: "b", from: 3 });
    assert.deepEqual(await Promise.all(results), [
        "as 5-1", "perhaps: the connection was lost before the answer"]);
});

test("a room that is left sends nothing, and can be entered again", async () => {
    const rooms = make();
    const first = rooms.subscribe("a");
    welcome();
    await turn();
    answer({ a: "5-0" });
    await at(0);
    const room = await first;
    const events = recorded(room);
    const loop = room[Symbol.asyncIterator]().next();
    const result = settled(room.publish("x"));
    room.unsubscribe();
    socket().message("5-1", "x", in_room("a"));
    assert.equal((await loop).done, true);
    assert.equal(await result, "perhaps: the room was left");
    assert.equal(await settled(room.publish("y")), "not: the room was left");
    assert.equal(await settled(rooms.publish("a", "y")), "not: not subscribed");
    assert.deepEqual(events(), []);
    assert.deepEqual(socket().sent.at(-1).unsubscribe, ["a"]);
    const again = rooms.subscribe("a");
    await turn();
    answer({ a: "5-1" });
    assert.notEqual(await again, room);
});

test("an answer for a room that was left enters no other one", async () => {
    const rooms = make();
    welcome();
    const first = settled(rooms.subscribe("a"));
    await turn();
    const { ref } = socket().sent[0];
    rooms.unsubscribe("a");
    rooms.subscribe("a");
    const events = recorded(rooms);
    await turn();
    socket().deliver({ type: "subscribed", ref, refused: {}, rooms: {
        a: { last: "5-0", clients: 1, recovered: true } } });
    assert.deepEqual(events(), []);
    assert.equal(await first, "not: the room was left");
    answer({ a: "5-1" });
    assert.deepEqual(events(), ["a subscribed false true", "caught up 0 true"]);
});

test("a refused room is requested again by a later subscribe()", async () => {
    const rooms = make();
    welcome();
    const first = settled(rooms.subscribe("a"));
    await turn();
    answer({}, { a: "not now" });
    assert.equal(await first, "not: not now");
    rooms.subscribe("b");
    await turn();
    assert.deepEqual(socket().sent.at(-1).subscribe, ["b"]);
    const again = rooms.subscribe("a");
    await turn();
    assert.deepEqual(socket().sent.at(-1).subscribe, ["a"]);
    answer({ a: "5-0" });
    assert.equal((await again).last, "5-0");
});

test("a signal leaves one room", async () => {
    const rooms = make();
    const abort = new AbortController();
    const result = settled(rooms.subscribe("a", { signal: abort.signal }));
    abort.abort();
    assert.equal(await result, "not: the room was left");
    assert.equal(await settled(rooms.subscribe("a", { signal: abort.signal })),
                 "not: aborted");
    assert.equal(rooms.state, "connecting");
});

test("presence has all pages of the users", async () => {
    const rooms = make();
    welcome();
    rooms.subscribe("a");
    await turn();
    answer({ a: "5-0" });
    const result = rooms.presence("a");
    socket().deliver({ type: "presence", ref: socket().sent.at(-1).ref,
                       clients: 3, users: [{ user: "1", clients: 1 }],
                       more: true });
    await turn();
    assert.equal(socket().sent.at(-1).after, "1");
    socket().deliver({ type: "presence", ref: socket().sent.at(-1).ref,
                       clients: 4, users: [{ user: "2", clients: 2 }],
                       more: false });
    assert.deepEqual(await result, { clients: 4, users: [
        { user: "1", clients: 1 }, { user: "2", clients: 2 }] });
});

test("closing ends all rooms and their iterations", async () => {
    const rooms = make();
    welcome();
    const room = rooms.subscribe("a");
    await turn();
    answer({ a: "5-0" });
    const loop = (await room)[Symbol.asyncIterator]().next();
    const waiting = settled(rooms.subscribe("b"));
    rooms.close();
    assert.equal((await loop).done, true);
    assert.equal(await waiting, "not: the connection is closed");
    assert.equal(await settled(rooms.subscribe("c")),
                 "not: the connection is closed");
    assert.equal(rooms.state, "closed");
});
