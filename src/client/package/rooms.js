// Rooms: many rooms over one connection, a client of the handler `rooms`.
// README.md describes it.

import { Connection } from "./connection.js";
import { RoomError, dispatch, payload } from "./shared.js";
import { Member } from "./subscription.js";

export class Rooms extends EventTarget {
    #connection;
    #options;
    #client;
    #user;
    #members = new Map(); // by the name of the room
    #asking = false; // whether a request for rooms will be sent
    #streamed; // the rooms of the event stream
    #is_idle = false; // suspended, because a stream needs a room
    #held; // objects that wait until the page has its new subscriptions

    constructor(url, options = {}) {
        super();
        this.#options = options;
        this.#connection = new Connection(url, options, {
            subprotocol: "rooms.v1.json",
            query: (transport) => this.#query(transport),
            state: (state, more) => this.#changed(state, more),
            welcome: (object) => () => this.#opened(object),
            received: (object) => this.#received(object),
            fault: (detail) => this.#emit("fault", detail),
        });
        this.#connection.start();
    }

    get state() { return this.#connection.state; }
    get transport() { return this.#connection.transport; }
    get client() { return this.#client; }
    get user() { return this.#user; }

    // The options of the room are `history` and `since`; `signal` ends it.
    subscribe(name, { signal, ...options } = {}) {
        const refusal = signal?.aborted ? "aborted"
            : this.state === "closed" ? "the connection is closed" : undefined;
        if (refusal) {
            return Promise.reject(new RoomError(refusal));
        }
        if (!this.#members.has(name)) {
            this.#members.set(name, this.#create(name, options));
        }
        const member = this.#members.get(name);
        signal?.addEventListener("abort", () => member.host.leave());
        this.#ask();
        return member.wait();
    }

    unsubscribe(name) {
        this.#members.get(name)?.host.leave();
    }

    publish(name, text) {
        return this.#of(name, (member) => member.publish(text));
    }

    presence(name) {
        return this.#of(name, (member) => member.presence());
    }

    suspend() {
        this.#is_idle = false;
        this.#connection.suspend();
    }

    resume() { this.#connection.resume(); }
    retry() { this.#connection.retry(); }
    close() { this.#connection.close(); }

    #of(name, call) {
        const member = this.#members.get(name);
        return member ? call(member) : Promise.reject(new RoomError(
            this.state === "closed" ? "the connection is closed"
                : "not subscribed"));
    }

    #create(name, options) {
        const connection = this.#connection;
        const member = new Member(name, {
            emit: (kind, detail) => this.#emit(kind, detail),
            is_connected: () => connection.is_connected,
            can_send: () => connection.can_send,
            request: (object, settle) => connection.request(object, settle),
            leave: () => this.#leave(member),
        }, { ...this.#options, ...options });
        return member;
    }

    #leave(member) {
        const { name } = member;
        if (!member.ended) {
            this.#members.delete(name);
            member.end("the room was left");
            if (this.#is_streaming) {
                this.#ask();
            } else if (this.#connection.can_send) {
                // After an error the connection has ended.
                this.#connection.request({ unsubscribe: [name] }, () => true);
            }
        }
    }

    // -- the connection --

    // A listener may have ended the connection.
    #emit(name, detail) {
        if (this.#connection.is_connected) {
            dispatch(this, name, detail);
        }
    }

    // Objects that are held come again with the resume.
    #changed(state, more) {
        if (state !== "open") {
            this.#held = undefined;
            this.#members.forEach((member) => (state === "closed"
                ? member.end("the connection is closed") : member.pause()));
        }
        dispatch(this, "state", { state, ...more });
    }

    #opened({ client, user = null }) {
        this.#client = client;
        this.#user = user;
        this.#emit("welcome", { client, user });
        this.#ask();
    }

    #received(object) {
        if (this.#held) {
            this.#held.push(object);
            return true;
        }
        if (object.type === "direct") {
            this.#emit("direct", { time: object.time, data: payload(object) });
        } else if (object.type === "subscribed") {
            this.#answered([...this.#members.values()], object);
        }
        // A room may have been left meanwhile.
        const member = this.#members.get(object.room);
        return !member?.is_subscribed || member.channel.received(object);
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

    #ask_now() {
        if (this.#is_idle && this.#members.size > 0) {
            this.#is_idle = false;
            this.#connection.resume();
        } else if (this.#is_streaming) {
            if (this.#streamed !== this.#names) {
                this.#connection.reconnect();
            }
        } else {
            this.#ask_for_rooms();
        }
    }

    #ask_for_rooms() {
        const wanted = [...this.#members.values()].filter(
            (member) => member.is_wanted);
        if (wanted.length === 0 || !this.#connection.can_send) {
            return;
        }
        const since = Object.fromEntries(wanted.map(
            ({ name, channel }) => [name, channel.position.since]));
        wanted.forEach((member) => { member.is_requested = true; });
        this.#connection.request(
            { subscribe: wanted.map(({ name }) => name), since },
            (error, answer) => {
                wanted.forEach((member) => { member.is_requested = false; });
                if (!error) {
                    this.#answered(wanted, answer);
                } else if (!error.lost) {
                    this.#emit("fault", { message: error.message });
                }
            });
    }

    // An event stream has its rooms in its address.
    get #is_streaming() {
        return this.#connection.transport === "event-stream";
    }

    // Names are percent-encoded, because they are in lists.
    #query(transport) {
        if (transport !== "event-stream") {
            return [];
        }
        const members = [...this.#members.values()];
        if (members.length === 0) {
            this.#is_idle = true;
            this.#connection.suspend();
        }
        const positions = members.filter(({ channel }) =>
            channel.position.since !== undefined);
        this.#streamed = this.#names;
        return [["rooms", this.#streamed], ["since", positions.map(
            ({ name, channel }) => `${encodeURIComponent(name)}=${
                channel.position.since}`).join() || undefined]];
    }

    get #names() {
        return [...this.#members.keys()].map(encodeURIComponent).join();
    }

    // Rooms that were left meanwhile are passed over.
    #answered(wanted, { rooms, refused }) {
        for (const member of wanted.filter(({ ended }) => !ended)) {
            const { name } = member;
            if (Object.hasOwn(refused, name)) {
                member.refuse(refused[name]);
            } else if (Object.hasOwn(rooms, name)
                       && member.begin(this.#client, rooms[name])) {
                this.#hold();
            }
        }
    }

    // The page awaits subscribe(), and adds its listeners later than the next
    // objects may come.
    #hold() {
        if (!this.#held) {
            const held = [];
            this.#held = held;
            setTimeout(() => {
                if (held === this.#held) {
                    this.#held = undefined;
                    held.forEach((object) => this.#received(object));
                }
            });
        }
    }
}
