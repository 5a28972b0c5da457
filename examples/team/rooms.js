// Many rooms over one connection: a client of the handler `rooms`, for
// browsers.
//
//     import { Rooms } from "./rooms.js";
//
//     const rooms = new Rooms("/live", { token: async () => ... });
//     rooms.subscribe("chat.a", { history: 50 });
//     rooms.addEventListener("message", ({ detail }) =>
//         console.log(detail.room, detail.user, detail.data));
//     rooms.publish("chat.a", "hello").then((id) => console.log(id));
//
// The options are those of connection.js, which reconnects. After that each
// room continues after the last message that was received: none comes twice,
// and each loss is reported by a `gap`. Events, each with `detail`:
//
//   state       as connection.js, which also describes `fault`
//   welcome     { client, user }: connected, as this user
//   subscribed  { room, last, clients, resumed, recovered }. last: the id of
//               the last message in the room
//   refused     { room, reason }: the server does not admit to the room
//   message     { room, id, time, from, user, data, own, missed }. time: ms;
//               from: a client's id, or null; user: that of the publisher, or
//               undefined; data: a string, or a Uint8Array if it was published
//               as binary; own: published by this object, over any connection;
//               missed: older than this connection
//   direct      { time, data }: a message to this client or user alone
//   presence    { room, type, client, clients }, and perhaps user: "joined" or
//               "left", if the room has presence=on
//   gap         { room, cause }: some messages are missing, or may be. cause:
//               "resume", the room no longer has them or has begun again;
//               "slow", the server dropped them; "missing", an id was skipped
//   caught_up   { room }: the messages that were missed have arrived
//
// subscribe(room, options): `history` is how many of the latest messages to get
// first, or Infinity. publish(room, text) returns a promise of the message's
// id. Without a connection the text waits for one. A message that was sent but
// not answered when the connection broke is not sent again, because it may have
// arrived. If the resume brings it, its promise resolves; else it is rejected
// as `uncertain`. Any other RequestError means that the room has not got it.
//
// presence(room) returns a promise of { clients, users }, with each user and
// the number of its clients. suspend(), resume(), retry() and close() are those
// of connection.js.

import { Connection, RequestError } from "./connection.js";
import { Subscription, parse_id } from "./subscription.js";

const most_waiting = 100; // messages that may wait for a connection

// JSON in UTF-8 has no lone surrogates.
function well_formed(text) {
    return text.toWellFormed?.() ?? text.replace(/\p{Surrogate}/gu, "\ufffd");
}

// The payload of a message, or undefined.
function payload({ data, base64 }) {
    if (typeof data === "string") {
        return data;
    }
    try {
        return Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
    } catch {
        return undefined;
    }
}

export class Rooms extends EventTarget {
    #connection;
    #client;
    #own_clients = new Set(); // ids of this and of former connections
    #rooms = new Map(); // subscriptions, by name
    #asking = false; // whether a request for rooms will be sent

    // Messages without a result, in order. `client` is the id of the connection
    // that sent them.
    #publications = new Set();

    constructor(url, options = {}) {
        super();
        this.#connection = new Connection(url, options);
        const on = (name, call) => this.#connection.addEventListener(
            name, ({ detail }) => call(detail));
        on("state", (detail) => this.#changed(detail));
        on("fault", (detail) => this.#emit("fault", detail));
        on("object", (object) => this.#received(object));
    }

    get state() { return this.#connection.state; }
    get client() { return this.#client; }

    subscribe(name, { history = 0 } = {}) {
        if (!this.#rooms.has(name)) {
            this.#rooms.set(name, new Subscription(name, history));
            this.#ask();
        }
    }

    unsubscribe(name) {
        if (this.#rooms.delete(name)) {
            this.#reject(name, () => true, "the room was left");
            if (this.#connection.can_send) {
                this.#connection.request({ unsubscribe: [name] })
                    .catch(() => {}); // then the connection has ended
            }
        }
    }

    publish(name, text) {
        const room = this.#rooms.get(name);
        const waiting = [...this.#publications].filter(
            ({ client }) => client === undefined);
        const refusal = this.state === "closed" ? "the connection is closed"
            : room === undefined ? "not subscribed"
            : waiting.length >= most_waiting
                ? "too many messages wait for a connection" : room.refused;
        if (refusal) {
            return Promise.reject(new RequestError(refusal));
        }
        return new Promise((resolve, reject) => {
            const entry = { name, data: well_formed(text), resolve, reject };
            this.#publications.add(entry);
            this.#send(entry);
        });
    }

    async presence(name) {
        const users = [];
        let page;
        do {
            const after = users.at(-1)?.user;
            page = await this.#connection.request({ presence: name, after });
            users.push(...page.users);
        } while (page.more);
        return { clients: page.clients, users };
    }

    suspend() { this.#connection.suspend(); }
    resume() { this.#connection.resume(); }
    retry() { this.#connection.retry(); }
    close() { this.#connection.close(); }

    // -- the connection --

    #emit(name, detail) {
        this.dispatchEvent(new CustomEvent(name, { detail }));
    }

    #changed(detail) {
        if (detail.state !== "open") {
            for (const room of this.#rooms.values()) {
                room.subscribed = false;
                room.refused = undefined;
                room.catch_up_until = undefined;
            }
        }
        if (detail.state === "closed") {
            this.#reject(undefined, () => true, "the connection is closed");
        }
        this.#emit("state", detail);
    }

    #received(object) {
        const calls = {
            welcome: this.#welcomed, message: this.#message, gap: this.#gap,
            joined: this.#presence, left: this.#presence,
            direct: (direct) => this.#emit("direct", direct),
            error: ({ message }) => this.#emit("fault", { message }),
        };
        if (!Object.hasOwn(calls, object.type)) {
            return; // of a newer server
        }
        if (calls[object.type].call(this, object) === false) {
            this.#emit("fault", { message: "unexpected message",
                                  frame: JSON.stringify(object) });
        }
    }

    #welcomed({ client, user }) {
        this.#client = client;
        this.#own_clients.add(client);
        this.#emit("welcome", { client, user });
        this.#ask();
    }

    // -- subscribing --

    // Rooms that are wanted in one turn are in one request.
    #ask() {
        if (!this.#asking) {
            this.#asking = true;
            queueMicrotask(() => {
                this.#asking = false;
                this.#ask_now();
            });
        }
    }

    async #ask_now() {
        const wanted = [...this.#rooms.values()].filter(
            (room) => !room.subscribed && !room.requested);
        if (wanted.length === 0 || !this.#connection.can_send) {
            return;
        }
        const since = Object.fromEntries(wanted.map(
            (room) => [room.name, room.since]));
        wanted.forEach((room) => { room.requested = true; });
        try {
            this.#answered(await this.#connection.request({
                subscribe: wanted.map(({ name }) => name), since }));
        } catch (error) {
            if (!error.uncertain) {
                this.#emit("fault", { message: error.message });
            }
        } finally {
            wanted.forEach((room) => { room.requested = false; });
        }
    }

    #answered({ rooms, refused }) {
        for (const [name, reason] of Object.entries(refused)) {
            if (this.#rooms.has(name)) {
                this.#rooms.get(name).refused = reason;
            }
            this.#reject(name, () => true, reason);
            this.#emit("refused", { room: name, reason });
        }
        for (const [name, { last, clients, recovered }]
            of Object.entries(rooms)) {
            const room = this.#rooms.get(name);
            const end = parse_id(last);
            if (!room || !end) {
                continue;
            }
            const resumed = room.seen !== undefined;
            const lost = room.begin(end, recovered);
            this.#emit("subscribed", { room: name, last, clients, resumed,
                                       recovered: !lost });
            if (lost) {
                this.#emit("gap", { room: name, cause: "resume" });
            }
            this.#publications.forEach((entry) => this.#send(entry));
            this.#check_caught_up(room);
        }
    }

    // -- objects of rooms --

    #message(object) {
        const room = this.#rooms.get(object.room);
        const id = parse_id(object.id);
        const data = payload(object);
        if (!id || data === undefined) {
            return false;
        }
        if (!room?.subscribed || !room.is_new(id)) {
            return true; // left meanwhile, a duplicate, or older than wanted
        }
        const { time, from = null, user } = object;
        const own = this.#own_clients.has(from);
        const published = own && !room.acknowledged.delete(id.number)
            ? this.#find_published(room.name, from, data) : undefined;
        const missed = id.number <= room.catch_up_until;
        if (room.advance(id)) {
            this.#emit("gap", { room: room.name, cause: "missing" });
        }
        this.#emit("message", { room: room.name, id: object.id, time, from,
                                user, data, own, missed });
        this.#settle(published, ({ resolve }) => resolve(object.id));
        this.#check_caught_up(room, !missed);
        return true;
    }

    #gap({ room: name }) {
        const room = this.#rooms.get(name);
        if (room?.subscribed) {
            room.gaps_until = Infinity; // until the next message
            this.#emit("gap", { room: name, cause: "slow" });
        }
    }

    // The server sends presence only to clients that have caught up.
    #presence(object) {
        const room = this.#rooms.get(object.room);
        if (room?.subscribed) {
            this.#check_caught_up(room, true);
            this.#emit("presence", object);
        }
    }

    #check_caught_up(room, sure = room.seen.number >= room.catch_up_until) {
        if (sure && room.catch_up_until !== undefined) {
            room.catch_up_until = undefined;
            this.#reject(room.name, ({ client }) => client !== undefined
                && client !== this.#client,
                "the connection was lost before the answer", true);
            this.#emit("caught_up", { room: room.name });
        }
    }

    // -- publishing --

    async #send(entry) {
        const { name, data } = entry;
        const room = this.#rooms.get(name);
        if (entry.client !== undefined || !room?.subscribed
            || !this.#connection.can_send) {
            return;
        }
        entry.client = this.#client;
        try {
            const { id } = await this.#connection.request({ publish: name,
                                                            data });
            const { epoch, number } = parse_id(id);
            if (epoch === room.seen.epoch && number > room.seen.number) {
                room.acknowledged.add(number);
            }
            this.#settle(entry, ({ resolve }) => resolve(id));
        } catch (error) {
            // After a lost connection the resume decides.
            if (!error.uncertain || this.#connection.can_send) {
                this.#settle(entry, ({ reject }) => reject(error));
            }
        }
    }

    #settle(entry, call) {
        if (this.#publications.delete(entry)) {
            call(entry);
        }
    }

    // Of several messages with the same text the first one is meant.
    #find_published(name, client, data) {
        return [...this.#publications].find((each) => each.name === name
            && each.client === client && each.data === data);
    }

    #reject(name, which, reason, uncertain = false) {
        for (const entry of this.#publications) {
            if ((name === undefined || entry.name === name) && which(entry)) {
                this.#settle(entry, ({ reject, client }) => reject(
                    new RequestError(reason,
                                     uncertain || client !== undefined)));
            }
        }
    }
}
