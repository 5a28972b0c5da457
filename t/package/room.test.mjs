import assert from "node:assert/strict";
import { test } from "node:test";

import { Room, RoomError } from "../../src/client/package/index.js";
import { at, closing, peers, recorded, settled, socket, sockets, timer_count,
         turn } from "./harness.mjs";

const make = (options = {}) => closing(new Room("wss://example.org/room/r",
    { ...peers, transport: "websocket", ...options }));

const claims = (object) => `e30.${btoa(JSON.stringify(object))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "")}.x`;

// Tokens

test("a token is offered as a subprotocol", async () => {
    const room = make({ token: async () => "abc" });
    assert.equal(room.state, "connecting");
    assert.equal(sockets.length, 0);
    await turn();
    assert.deepEqual(socket().protocols, ["room.v1.json", "bearer.abc"]);
});

test("each attempt has its own token", async () => {
    let count = 0;
    make({ token: async () => `t${++count}`, first_delay: 0 });
    await turn();
    socket().lose();
    await at(0);
    assert.deepEqual(socket().protocols, ["room.v1.json", "bearer.t2"]);
});

test("a callback without a token offers none", async () => {
    make({ token: async () => undefined });
    await turn();
    assert.equal(socket().protocols, "room.v1.json");
});

for (const [name, token] of [
    ["expires_in", { token: "t", expires_in: 100 }],
    ["the claim exp", claims({ exp: Date.now() / 1000 + 100, sub: "ä?>" })]]) {
    test(`a token is renewed before ${name}`, async () => {
        const room = make({ token: async () => token, ping_after: Infinity });
        await turn();
        socket().welcome();
        await at(30_000);
        assert.deepEqual(socket().sent, []);
        await at(20_500);
        const [{ ref, ...asked }] = socket().sent;
        assert.deepEqual(asked, { token: token.token ?? token });
        socket().deliver({ type: "token", ref, expires: 1 });
        await at(50_500);
        assert.equal(socket().sent.length, 2);
        assert.equal(room.state, "open");
        assert.equal(sockets.length, 1);
    });
}

test("a token whose time a wrong clock has passed is not renewed at once",
     async () => {
         let count = 0;
         make({ token: async () => { count++; return claims({ exp: 7 }); },
                ping_after: Infinity });
         await turn();
         socket().welcome();
         await at(3000);
         assert.equal(count, 1);
     });

test("a renewal that is refused is tried again", async () => {
    make({ token: async () => ({ token: "t", expires_in: 100 }),
           ping_after: Infinity });
    await turn();
    socket().welcome();
    await at(51_000);
    socket().deliver({ type: "error", ref: 1, message: "no" });
    await at(6000);
    assert.equal(socket().sent.length, 2);
});

test("a token that has ended is replaced at once", async () => {
    let count = 0;
    make({ token: async () => `t${++count}` });
    await turn();
    socket().welcome().lose(3000, "unauthorized");
    await at(0);
    assert.deepEqual(socket().protocols, ["room.v1.json", "bearer.t2"]);
});

test("a token callback that fails is an attempt that failed", async () => {
    const room = make({ token: async () => { throw new Error("later"); } });
    let why;
    room.addEventListener("state", ({ detail }) => { why = detail; });
    await turn();
    assert.equal(room.state, "waiting");
    assert.equal(why.reason, "later");
    room.retry();
    await turn();
    assert.equal(room.state, "waiting");
});

test("a final error of the token callback ends the room", async () => {
    const error = Object.assign(new Error("over"), { final: true });
    const room = make({ token: async () => { throw error; } });
    const waiting = settled(room.publish("x"));
    let why;
    room.addEventListener("state", ({ detail }) => { why = detail; });
    await turn();
    assert.deepEqual([why.state, why.reason, why.error],
                     ["closed", "over", error]);
    assert.equal(await waiting, "not: the room was closed");
});

test("a token that comes after close() opens nothing", async () => {
    const room = make({ token: async () => "t" });
    room.close();
    await turn();
    assert.equal(sockets.length, 0);
    assert.equal(timer_count(), 0);
});

// AbortSignal

test("a signal closes the room", () => {
    const abort = new AbortController();
    const room = make({ signal: abort.signal });
    socket().welcome();
    abort.abort();
    assert.equal(room.state, "closed");
    assert.equal(socket().closed, true);
    assert.equal(timer_count(), 0);
});

test("a signal that was aborted before leaves the room closed", () => {
    const room = make({ signal: AbortSignal.abort() });
    assert.equal(room.state, "closed");
    assert.equal(sockets.every(({ closed }) => closed), true);
});

// Iteration

test("messages can be iterated, from the call on", async () => {
    const room = make();
    const iterator = room[Symbol.asyncIterator]();
    socket().welcome().message("5-1").message("5-2");
    assert.equal((await iterator.next()).value.id, "5-1");
    assert.equal((await iterator.next()).value.id, "5-2");
    const later = iterator.next();
    socket().message("5-3");
    assert.equal((await later).value.id, "5-3");
    socket().message("5-4");
    room.close();
    assert.equal((await iterator.next()).value.id, "5-4");
    assert.equal((await iterator.next()).done, true);
});

test("a loop ends with the room, and is not woken after break", async () => {
    const room = make();
    socket().welcome();
    const ids = [];
    const loop = (async () => {
        for await (const { id } of room) {
            ids.push(id);
            if (id === "5-2") {
                break;
            }
        }
    })();
    socket().message("5-1").message("5-2").message("5-3");
    await loop;
    assert.deepEqual(ids, ["5-1", "5-2"]);
    const other = (async () => {
        for await (const { id } of room) {
            ids.push(id);
        }
    })();
    socket().lose(1000);
    await other;
});

test("a closed room has nothing to iterate", async () => {
    const room = make();
    room.close();
    assert.equal((await room[Symbol.asyncIterator]().next()).done, true);
});

test("a loop that is too slow fails instead of growing", async () => {
    const iterator = make()[Symbol.asyncIterator]();
    socket().welcome();
    for (let i = 1; i <= 10_001; i++) {
        socket().message(`5-${i}`);
    }
    await assert.rejects(iterator.next(), RoomError);
});

// Bursts: a WebSocket may deliver many messages in one turn.

test("own messages of a room with self=off are no gap in a burst", async () => {
    const room = make();
    const events = recorded(room);
    socket().welcome();
    const results = ["x", "y"].map((text) => settled(room.publish(text)));
    socket().deliver({ type: "published", ref: 1, id: "5-1" }).message("5-2")
        .deliver({ type: "published", ref: 2, id: "5-3" }).message("5-4");
    assert.deepEqual(events().slice(2), ["message 5-2", "message 5-4"]);
    assert.deepEqual(await Promise.all(results), ["as 5-1", "as 5-3"]);
});

test("members of later servers come with the welcome", () => {
    const room = make();
    let welcome;
    room.addEventListener("welcome", ({ detail }) => { welcome = detail; });
    socket().welcome("5-0", { client: 3, user: "42" });
    assert.deepEqual(welcome, { client: 3, room: "r", last: "5-0", clients: 1,
                                recovered: true, user: "42", resumed: false });
});

test("direct messages and users are events", () => {
    const room = make();
    const details = [];
    for (const name of ["direct", "presence", "message"]) {
        room.addEventListener(name, ({ detail }) => details.push(detail));
    }
    socket().welcome().deliver({ type: "direct", time: 9, base64: "AA==" })
        .deliver({ type: "joined", user: "42", client: 8, clients: 2 })
        .message("5-1", "x", { user: "42", from: 8 });
    assert.deepEqual(details[0], { time: 9, data: new Uint8Array([0]) });
    assert.deepEqual([details[1].type, details[1].user, details[2].user],
                     ["joined", "42", "42"]);
});
