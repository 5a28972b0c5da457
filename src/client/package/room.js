// Room: a client of the handler `room`. README.md describes it.

import { Channel } from "./channel.js";
import { Connection } from "./connection.js";
import { iterate } from "./iterate.js";
import { dispatch, payload } from "./shared.js";

export class Room extends EventTarget {
    #connection;
    #channel;

    constructor(url, options) {
        super();
        const connection = new Connection(url, options, {
            subprotocol: "room.v1.json",
            query: () => [["since", channel.position.since]],
            state: (state, more) => this.#changed(state, more),
            welcome: (object) => this.#welcome(object),
            received: (object) => this.#received(object),
            fault: (detail) => this.#emit("fault", detail),
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
    get transport() { return this.#connection.transport; }
    get client() { return this.#channel.client; }
    get clients() { return this.#channel.clients; }
    get last() { return this.#channel.position.last; }

    publish(text) {
        return this.#channel.publish(text, this.state === "closed"
            && "the room is closed");
    }

    suspend() { this.#connection.suspend(); }
    resume() { this.#connection.resume(); }
    retry() { this.#connection.retry(); }
    close() { this.#connection.close(); }

    [Symbol.asyncIterator]() {
        return iterate(this, this.state === "closed");
    }

    #changed(state, more) {
        if (state !== "open") {
            this.#channel.pause();
        }
        if (state === "closed") {
            this.#channel.end("the room was closed");
            dispatch(this, "end", { reason: more.reason });
        }
        dispatch(this, "state", { state, ...more });
    }

    // A listener may have ended the connection.
    #emit(name, detail) {
        if (this.#connection.is_connected) {
            dispatch(this, name, detail);
        }
    }

    #welcome({ type, ...welcome }) {
        const channel = this.#channel;
        const begun = channel.begin(welcome.client, welcome);
        return begun && (() => {
            this.#emit(type, { ...welcome, resumed: begun.resumed });
            channel.start(begun);
        });
    }

    #received(object) {
        return object.type === "direct" ? this.#emit("direct",
            { time: object.time, data: payload(object) })
            : this.#channel.received(object);
    }
}
