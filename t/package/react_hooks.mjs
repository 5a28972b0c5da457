// The tests of nginx-websocket/react, run by test_client_react.py in a folder
// where the package and React are installed.

import assert from "node:assert/strict";
import { test } from "node:test";

import React from "react";
import renderer from "react-test-renderer";
import { useRoom, useRooms, useSubscription } from "nginx-websocket/react";

import { at, peers, settled, socket, sockets } from "./harness.mjs";

globalThis.IS_REACT_ACT_ENVIRONMENT = true;

const url = "wss://example.org/room/r";
const options = { ...peers, transport: "websocket", first_delay: 0 };

// Renders a component that calls a hook. Returns what the hook has returned.
async function mount(use) {
    const shown = {};
    const Component = (props) => {
        shown.last = use(props);
        shown.renders = (shown.renders ?? 0) + 1;
        return null;
    };
    const element = (props) => React.createElement(Component, props);
    let root;
    await act(() => {
        root = renderer.create(element({}), {
            unstable_isConcurrent: true });
    });
    return { shown, unmount: () => act(() => root.unmount()),
             render: (props) => act(() => root.update(element(props))) };
}

const act = (call) => renderer.act(async () => {
    await call();
    await at(0);
});

const texts = ({ messages }) => messages.map(({ data }) => data);

test("a component shows the messages and the state of its room", async () => {
    const { shown, unmount } = await mount(() => useRoom(url, options));
    assert.deepEqual([shown.last.state, shown.last.messages],
                     ["connecting", []]);
    await act(() => socket().welcome("5-0", { client: 9, clients: 3 })
        .message("5-1", "a").message("5-2", "b"));
    assert.deepEqual(texts(shown.last), ["a", "b"]);
    const { state, client, clients, transport } = shown.last;
    assert.deepEqual([state, client, clients, transport],
                     ["open", 9, 3, "websocket"]);
    await act(() => socket().deliver({ type: "joined", client: 4,
                                       clients: 4 }).deliver({ type: "gap" }));
    assert.deepEqual([shown.last.clients, shown.last.gaps], [4, 1]);
    await unmount();
    assert.equal(socket().closed, true);
});

test("a component publishes by one function", async () => {
    const { shown, unmount } = await mount(() => useRoom(url, options));
    const { publish } = shown.last;
    await act(() => socket().welcome());
    assert.equal(shown.last.publish, publish);
    const result = settled(publish("x"));
    await act(() => socket().deliver({ type: "published", ref: 1, id: "5-1" }));
    assert.equal(await result, "as 5-1");
    await unmount();
    assert.equal(await settled(publish("y")), "not: the room is closed");
});

test("only the last messages are kept", async () => {
    const { shown, unmount } = await mount(
        () => useRoom(url, { ...options, keep: 2 }));
    await act(() => socket().welcome().message("5-1").message("5-2")
        .message("5-3"));
    assert.deepEqual(texts(shown.last), ["5-2", "5-3"]);
    await unmount();
});

test("another url is another room, and null is none", async () => {
    const { shown, render, unmount } = await mount(
        ({ to = url }) => useRoom(to, options));
    await act(() => socket().welcome().message("5-1"));
    const first = socket();
    await render({ to: "wss://example.org/room/s" });
    assert.equal(first.closed, true);
    assert.equal(socket().url.pathname, "/room/s");
    assert.deepEqual(texts(shown.last), []);
    await render({ to: null });
    assert.equal(socket().closed, true);
    assert.equal(sockets.length, 2);
    await unmount();
});

test("options that are new in each render make no new room", async () => {
    let tokens = 0;
    const { render, unmount } = await mount(({ suffix = "a" }) => useRoom(url, {
        ...options, token: async () => { tokens++; return `t${suffix}`; } }));
    await render({ suffix: "b" });
    assert.equal(sockets.length, 1);
    await act(() => socket().welcome().lose(3000));
    assert.deepEqual(socket().protocols, ["room.v1.json", "bearer.tb"]);
    assert.equal(tokens, 2);
    await unmount();
});

test("a component that is mounted again has one connection", async () => {
    const { shown, render, unmount } = await mount(() => useRoom(url, options));
    await act(() => socket().welcome().message("5-1"));
    await render({ key: "again" });
    assert.deepEqual(sockets.map(({ closed }) => closed), [true, false]);
    assert.deepEqual(texts(shown.last), []);
    await act(() => socket().welcome().message("5-2"));
    assert.deepEqual(texts(shown.last), ["5-2"]);
    await unmount();
    assert.ok(sockets.every(({ closed }) => closed));
});

test("components share a room of one connection", async () => {
    const live = "wss://example.org/live";
    const { shown, render, unmount } = await mount(({ second = true }) => {
        const rooms = useRooms(live, options);
        return [useSubscription(rooms, "a", { history: 5 }),
                useSubscription(rooms, second ? "a" : "b")];
    });
    await act(() => socket().deliver({ type: "welcome", client: 7 }));
    const { ref, subscribe } = socket().sent[0];
    assert.deepEqual(subscribe, ["a"]);
    await act(() => socket().deliver({ type: "subscribed", ref, refused: {},
        rooms: { a: { last: "5-0", clients: 2, recovered: true } } }));
    await act(() => socket().message("5-1", "x", { room: "a" }));
    for (const { state, messages, clients } of shown.last) {
        assert.deepEqual([state, messages.length, clients], ["open", 1, 2]);
    }
    await render({ second: false });
    const requests = socket().sent.slice(1);
    assert.equal(requests.some((each) => each.unsubscribe), false);
    await act(() => socket().deliver({ type: "subscribed",
        ref: requests[0].ref, rooms: {}, refused: { b: "no pattern" } })
        .message("5-2", "y", { room: "a" }));
    assert.equal(shown.last[1].state, "closed");
    assert.equal(shown.last[1].error.message, "no pattern");
    assert.deepEqual(texts(shown.last[0]), ["x", "y"]);
    await unmount();
    assert.equal(socket().closed, true);
});
