// Room: a client of the handler `room`. README.md describes it.

import { Channel } from "./channel.js";
import { Connection } from "./connection.js";
import { iterate } from "./iterate.js";
import { dispatch } from "./shared.js";

export class Room extends EventTarget {
    #connection;
    #channel;
    #client;
    #resumed; // whether an earlier connection had ids

    constructor(url, options = {}) {
        super();
        const connection = new Connection(url, options, {
            subprotocol: "room.v1.json",
            query: () => ({ since: channel.position.since }),
            state: (state, more) => this.#changed(state, more),
            welcome: (object) => this.#welcome(object),
            opened: (object) => this.#opened(object),
            received: (object) => this.#received(object),
            fault: (detail) => this.#emit("fault", detail),
            disconnected: () => channel.pause(),
            ended: () => channel.end("the room was closed"),
        });
        const channel = new Channel({
            emit: (name, detail) => this.#emit(name, detail),
            can_send: () => connection.can_send,
            request: (data, settle) => connection.request({ data }, settle),
        }, options);
        this.#connection = connection;
        this.#channel = channel;
        connection.start();
    }

    get state() { return this.#connection.state; }
    get client() { return this.#client; }
    get clients() { return this.#channel.clients; }
    get last() { return this.#channel.position.last; }

    publish(text) {
        return this.#channel.publish(text, this.state === "closed"
            ? "the room is closed" : undefined);
    }

    suspend() { this.#connection.suspend(); }
    resume() { this.#connection.resume(); }
    retry() { this.#connection.retry(); }
    close() { this.#connection.close(); }

    [Symbol.asyncIterator]() {
        return iterate(this);
    }

    #changed(state, more) {
        dispatch(this, "state", { state, ...more });
        if (state === "closed") {
            dispatch(this, "end", { reason: more.reason });
        }
    }

    // A listener may have ended the connection.
    #emit(name, detail) {
        if (this.#connection.is_connected) {
            dispatch(this, name, detail);
        }
    }

    #welcome(object) {
        const begun = this.#channel.begin(object.client, object);
        if (!begun) {
            return false;
        }
        this.#client = object.client;
        this.#resumed = begun.resumed;
        return true;
    }

    #opened({ client, room, clients, last, recovered }) {
        this.#emit("welcome", { client, room, clients, last, recovered,
                                resumed: this.#resumed });
        this.#channel.start();
    }

    #received(object) {
        const channel = this.#channel;
        switch (object.type) {
        case "message": return channel.message(object);
        case "joined":
        case "left": return channel.presence(object);
        case "gap": return channel.gap();
        case "published": return channel.published(object);
        case "direct": return this.#emit("direct", object);
        default: return true; // of a newer server
        }
    }
}
