// Hooks for React 18 and later. README.md describes them.

import { useCallback, useEffect, useRef, useState } from "react";

import { Room, RoomError, Rooms } from "./index.js";

const initial = { state: "connecting", transport: undefined, client: undefined,
                  clients: undefined, messages: [], gaps: 0,
                  error: undefined };

// How many components use each room of each Rooms, by name.
const users = new WeakMap();

function take(rooms, name) {
    const counts = users.get(rooms) ?? new Map();
    users.set(rooms, counts);
    counts.set(name, (counts.get(name) ?? 0) + 1);
}

// True if no other component uses the room.
function release(rooms, name) {
    const counts = users.get(rooms);
    counts.set(name, counts.get(name) - 1);
    return counts.get(name) === 0;
}

// The callbacks of the last render, which may change with each.
function use_latest(options) {
    const latest = useRef(options);
    latest.current = options;
    return { ...options, token: options.token
        && (() => latest.current.token?.()) };
}

// Applies the events of a room to what a component shows.
function follow(room, keep, update, signal) {
    const on = (name, call) => room.addEventListener(name, ({ detail }) =>
        update((old) => ({ ...old, ...call(detail, old) })), { signal });
    on("message", (message, { messages }) => ({
        messages: [...messages, message].slice(-keep) }));
    on("presence", ({ clients }) => ({ clients }));
    on("gap", (_, { gaps }) => ({ gaps: gaps + 1 }));
}

function use_publish(current) {
    return useCallback((text) => current.current?.publish(text)
        ?? Promise.reject(new RoomError("the room is closed")), [current]);
}

// A room, as long as the component is mounted. Another url is another room; a
// url of null or undefined is none.
export function useRoom(url, { keep = 100, ...options } = {}) {
    const [shown, update] = useState(initial);
    const latest = use_latest(options);
    const current = useRef();
    useEffect(() => {
        update(initial);
        if (url === null || url === undefined) {
            return undefined;
        }
        const room = new Room(url, latest);
        const listeners = new AbortController();
        const { signal } = listeners;
        current.current = room;
        follow(room, keep, update, signal);
        room.addEventListener("welcome", ({ detail: { client, clients } }) =>
            update((old) => ({ ...old, client, clients })), { signal });
        room.addEventListener("state", ({ detail: { state, error } }) =>
            update((old) => ({ ...old, state, error,
                               transport: room.transport })), { signal });
        return () => {
            listeners.abort();
            current.current = undefined;
            room.close();
        };
    }, [String(url), keep]);
    return { ...shown, publish: use_publish(current) };
}

// The connection for useSubscription(); undefined until it is mounted.
export function useRooms(url, options = {}) {
    const [rooms, set_rooms] = useState();
    const latest = use_latest(options);
    useEffect(() => {
        const created = new Rooms(url, latest);
        set_rooms(created);
        return () => {
            set_rooms(undefined);
            created.close();
        };
    }, [String(url)]);
    return rooms;
}

// A room of `rooms`, as long as the component is mounted.
export function useSubscription(rooms, name, { keep = 100, ...options } = {}) {
    const [shown, update] = useState(initial);
    const current = useRef();
    useEffect(() => {
        update(initial);
        if (!rooms) {
            return undefined;
        }
        const listeners = new AbortController();
        const { signal } = listeners;
        const show = (more) => signal.aborted
            || update((old) => ({ ...old, ...more }));
        take(rooms, name);
        rooms.addEventListener("state", ({ detail: { state } }) => {
            if (state !== "open") {
                show({ state });
            }
        }, { signal });
        rooms.subscribe(name, options).then((room) => {
            if (signal.aborted) {
                return;
            }
            const open = () => show({ state: "open", error: undefined,
                                      client: rooms.client,
                                      clients: room.clients,
                                      transport: rooms.transport });
            current.current = room;
            room.addEventListener("subscribed", open, { signal });
            follow(room, keep, update, signal);
            open();
        }, (error) => show({ state: "closed", error }));
        return () => {
            listeners.abort();
            current.current = undefined;
            if (release(rooms, name)) {
                rooms.unsubscribe(name);
            }
        };
    }, [rooms, name, keep]);
    return { ...shown, publish: use_publish(current) };
}
