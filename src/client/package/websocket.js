// A connection by a WebSocket.

import { RoomError, no_answer, parsed, unanswered, with_query } from "./shared.js";

export class WebSocketLink {
    transport = "websocket";
    requests = new Map(); // those without an answer, by ref
    #refs = 0;
    #socket;
    #events;

    // events: received(object, frame) and lost(code, reason). Nothing comes
    // after close().
    constructor(address, query, options, events) {
        const { subprotocol, token, WebSocket = globalThis.WebSocket } = options;
        // nginx takes the token out of the offered subprotocols.
        const socket = new WebSocket(with_query(address, query()),
            token === undefined ? subprotocol
                : [subprotocol, `bearer.${token}`]);
        this.#socket = socket;
        this.#events = events;
        socket.addEventListener("message", ({ data }) =>
            this.#events?.received(parsed(data), data));
        socket.addEventListener("close", ({ code, reason }) =>
            this.#events?.lost(code, reason));
        // A close event follows, except in Node 20. npm's ws throws errors
        // without a listener, also those of an abandoned socket.
        socket.addEventListener("error", () => setTimeout(() =>
            this.#events?.lost(1006, "")));
    }

    // A closing socket discards messages.
    get can_send() { return this.#socket.readyState === 1; }

    ping() {
        this.#socket.send('{"ping":1}');
    }

    // Calls settle(error, answer) at once when there is a result. If settle
    // returns false, the answer is invalid.
    request(object, settle, within) {
        const ref = ++this.#refs;
        const timer = within < Infinity && setTimeout(() => finish(
            new RoomError(no_answer, true)), within);
        const finish = (error, answer) => {
            clearTimeout(timer);
            this.requests.delete(ref);
            return settle(error, answer);
        };
        this.requests.set(ref, finish);
        this.#socket.send(JSON.stringify({ ...object, ref }));
    }

    // The close event may come before the call of the socket returns.
    close() {
        this.#events = undefined;
        this.#socket.close(1000);
        this.requests.forEach((finish) => finish(Object.assign(
            new RoomError(unanswered, true),
            { lost: true })));
    }
}
