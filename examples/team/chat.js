// The chat of one user, without its page: conversations, unread messages, and
// who is online.
//
// A conversation is a room, or with a person. nginx names the user of each
// message of a room. Direct messages come in the user's own room, to which the
// backend alone publishes, so their `from` is right too. Each message has a
// nonce, by which one that is sent again is shown once.
//
// Events: "state" with that of the connection, "list" when conversations or
// people have changed, "message" ({ conversation, message }) for a new one or
// one with another state, and "ended" ({ reason }) with the session.

import { Rooms } from "../client/index.js";

const online_room = "team.online";
const history = 200;
const most_messages = 500; // of a conversation
const most_nonces = 2000;
const resend_times = 2;

// ms until the list of users is requested, and more for each of them: many
// pages that each request a long list cost the square of their number.
const presence_delay = 100;
const presence_share = 2;

function random_nonce() {
    return Array.from(crypto.getRandomValues(new Uint8Array(12)),
                      (each) => each.toString(16).padStart(2, "0")).join("");
}

const texts_of = ({ text, nonce, from, to }) => ({ text, nonce, from, to });

// The members of a message; programs may publish plain text to a room.
function decoded(data) {
    if (typeof data !== "string") {
        return { text: `${data.length} bytes` };
    }
    try {
        const texts = texts_of(JSON.parse(data));
        const valid = typeof texts.text === "string" && Object.values(texts)
            .every((each) => ["string", "undefined"].includes(typeof each));
        return valid ? texts : { text: data };
    } catch {
        return { text: data };
    }
}

function is_after(id, other) {
    const [[epoch, number], [other_epoch, other_number]] = [id, other].map(
        (each) => each.split("-"));
    return epoch !== other_epoch || Number(number) > Number(other_number);
}

// An object in the storage of the browser, which its user may change.
function stored(key) {
    try {
        return Object(JSON.parse(localStorage.getItem(key)));
    } catch {
        return {};
    }
}

export class Chat extends EventTarget {
    #api;
    #rooms;
    #inbox;
    #marks; // the ids up to which conversations were read
    #nonces = new Set();
    #presence_timer;
    #shown; // the conversation on the page
    #visible = false;
    #closing = false;

    conversations = new Map(); // by id: the name of a room, or @ and a user
    online = new Set();

    constructor(api, user, url) {
        super();
        this.user = user;
        this.#api = api;
        this.#inbox = `user.${user}`;
        this.#marks = stored(this.#marks_key);
        this.#rooms = new Rooms(url, { token: () => this.#token() });
        this.#rooms.subscribe(online_room);
        this.#rooms.subscribe(this.#inbox, { history });
        const calls = {
            state: this.#changed, message: this.#received,
            presence: this.#presence_changed, subscribed: this.#subscribed,
            gap: this.#gap,
        };
        for (const [name, call] of Object.entries(calls)) {
            this.#rooms.addEventListener(name, ({ detail }) =>
                call.call(this, detail));
        }
    }

    get state() { return this.#rooms.state; }
    get shown() { return this.#shown; }

    get rooms() { return this.#of_kind("room"); }

    // Those who are online come first.
    get people() {
        return this.#of_kind("person").sort((a, b) =>
            this.online.has(b.title) - this.online.has(a.title)
            || a.title.localeCompare(b.title));
    }

    get unread() {
        return [...this.conversations.values()].reduce(
            (sum, { unread }) => sum + unread, 0);
    }

    retry() { this.#rooms.retry(); }

    close() {
        clearTimeout(this.#presence_timer);
        this.#closing = true;
        this.#rooms.close();
    }

    // The page shows a conversation. It is read if the page is visible.
    show(conversation, visible) {
        if (this.#shown && this.#shown !== conversation) {
            this.#shown.first_unread = undefined;
        }
        this.#shown = conversation;
        this.#visible = visible;
        if (visible && conversation) {
            this.#mark_read(conversation);
        }
    }

    // -- the connection --

    #emit(name, detail) {
        this.dispatchEvent(new CustomEvent(name, { detail }));
    }

    async #token() {
        const granted = await this.#api.token();
        granted.rooms.forEach((room) => this.#open_room(room));
        granted.people.forEach((name) => this.#person(name));
        this.#emit("list");
        return granted;
    }

    #changed(detail) {
        if (detail.state === "open" && this.#shown) {
            this.#shown.first_unread = undefined;
        }
        this.#emit("state", detail);
        if (detail.state === "closed" && !this.#closing) {
            this.#emit("ended", { reason: detail.reason });
        }
    }

    // At the first visit the history of a room counts as read.
    #subscribed({ room, last }) {
        if (room === online_room) {
            this.#refresh_presence();
        } else if (room !== this.#inbox) {
            this.#set_mark(room, this.#marks[room] ?? last);
        }
        this.#emit("list");
    }

    // -- people --

    // Servers may name the client of a change, or its user, or nobody. The list
    // of users is right in each case.
    #presence_changed({ type, user }) {
        if (type === "joined" && user) {
            this.online.add(user);
            this.#person(user);
            this.#emit("list");
        }
        this.#presence_timer ??= setTimeout(
            () => this.#refresh_presence(),
            (presence_delay + presence_share * this.online.size)
            * (1 + Math.random()));
    }

    async #refresh_presence() {
        clearTimeout(this.#presence_timer);
        this.#presence_timer = undefined;
        try {
            const { users } = await this.#rooms.presence(online_room);
            this.online = new Set(users.map(({ user }) => user));
            this.online.forEach((user) => this.#person(user));
            this.#emit("list");
        } catch {
            // The next connection asks again.
        }
    }

    // -- conversations --

    #of_kind(wanted) {
        return [...this.conversations.values()].filter(
            ({ kind }) => kind === wanted);
    }

    #open(id, properties) {
        if (!this.conversations.has(id)) {
            this.conversations.set(id, {
                id, messages: [], unread: 0, first_unread: undefined,
                ...properties });
        }
        return this.conversations.get(id);
    }

    #open_room({ room, title, topic, private: is_private = false }) {
        this.#open(room, { kind: "room", title, topic, is_private });
        this.#rooms.subscribe(room, { history });
    }

    #person(name) {
        return name === this.user ? undefined
            : this.#open(`@${name}`, { kind: "person", title: name,
                                       topic: "" });
    }

    // -- messages --

    // A direct message that came from a client would be a forged one.
    #received({ room, id, time, from: client, user, data, missed }) {
        const message = { ...decoded(data), id, time, state: "sent", missed };
        if (room === this.#inbox && client === null) {
            const { from, to } = message;
            const other = from === this.user ? to : from;
            if (typeof other === "string" && other !== this.user) {
                this.#add(this.#person(other), { ...message, user: from });
            }
        } else {
            this.#add(this.conversations.get(room), { ...message, user });
        }
    }

    #add(conversation, message) {
        const { user, nonce } = message;
        const key = nonce && JSON.stringify([user, nonce]);
        if (!conversation || this.#nonces.has(key)) {
            return;
        }
        if (key) {
            this.#nonces.add(key);
        }
        if (this.#nonces.size > most_nonces) {
            this.#nonces.delete(this.#nonces.values().next().value);
        }
        message.own = user === this.user;
        this.#take_pending(conversation, message);
        this.#insert(conversation, message);
        this.#count(conversation, message);
        this.#emit("message", { conversation, message });
    }

    // Own messages that are not sent yet stay at the end.
    #insert({ messages }, message) {
        const end = messages.findIndex(({ state }) => state !== "sent");
        messages.splice(end < 0 ? messages.length : end, 0, message);
        if (messages.length > most_messages) {
            messages.shift();
        }
    }

    // The message replaces that which waits for it.
    #take_pending({ messages }, { own, nonce }) {
        const index = own && nonce ? messages.findIndex(
            (each) => each.nonce === nonce && each.state !== "sent") : -1;
        if (index >= 0) {
            messages.splice(index, 1);
        }
    }

    #gap({ room }) {
        const message = { kind: "gap", time: Date.now(), state: "sent" };
        const concerned = room === this.#inbox
            ? this.#of_kind("person").filter((each) => each.messages.length)
            : [this.conversations.get(room)];
        for (const conversation of concerned.filter(Boolean)) {
            this.#insert(conversation, message);
            this.#emit("message", { conversation, message });
        }
    }

    // -- unread messages --

    get #marks_key() { return `team:read:${this.user}`; }

    #count(conversation, message) {
        const mark = this.#marks[conversation.id];
        if (message.missed && mark && !is_after(message.id, mark)) {
            return;
        }
        if (message.own) {
            conversation.first_unread = undefined;
            this.#mark_read(conversation, message.id);
        } else if (conversation === this.#shown && this.#visible) {
            if (message.missed) {
                conversation.first_unread ??= message;
            }
            this.#mark_read(conversation, message.id);
        } else {
            if (conversation.unread === 0) {
                conversation.first_unread = message;
            }
            conversation.unread++;
            this.#emit("list");
        }
    }

    #mark_read(conversation, id = undefined) {
        const last = id ?? conversation.messages.findLast(
            (each) => each.id)?.id;
        conversation.unread = 0;
        if (last) {
            this.#set_mark(conversation.id, last);
        }
        this.#emit("list");
    }

    #set_mark(id, last) {
        if (this.#marks[id] !== last) {
            this.#marks[id] = last;
            localStorage.setItem(this.#marks_key, JSON.stringify(this.#marks));
        }
    }

    // -- sending --

    send(conversation, text) {
        const message = { user: this.user, own: true, text,
                          nonce: random_nonce(), time: Date.now() };
        conversation.messages.push(message);
        this.#send(conversation, message);
    }

    // Sends a message again that has failed.
    send_again(conversation, message) {
        this.#send(conversation, message);
    }

    async #send(conversation, message) {
        message.state = "sending";
        message.error = undefined;
        this.#emit("message", { conversation, message });
        try {
            await this.#deliver(conversation, message);
        } catch (error) {
            if (conversation.messages.includes(message)) {
                message.state = "failed";
                message.error = error.message;
                this.#emit("message", { conversation, message });
            }
        }
    }

    // A message whose fate is uncertain is sent again: because of its nonce it
    // is shown once. One that ends each connection is not sent for ever.
    async #deliver(conversation, { text, nonce }) {
        if (conversation.kind === "person") {
            await this.#api.send_direct(conversation.title, text, nonce);
            return;
        }
        for (let left = resend_times; ; left--) {
            try {
                await this.#rooms.publish(conversation.id,
                                          JSON.stringify({ text, nonce }));
                return;
            } catch (error) {
                if (!error.uncertain || left === 0
                    || this.state === "closed") {
                    throw error;
                }
            }
        }
    }
}
