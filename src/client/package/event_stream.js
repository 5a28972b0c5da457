// A connection by an event stream, for networks that let no WebSocket through.
// Messages come as events; each publication is a request of its own.

import { EventParser } from "./event_parser.js";
import { RoomError, bytes_of, no_answer, parsed, with_query } from "./shared.js";

export class EventStreamLink {
    transport = "event-stream";
    can_send = true;
    #address; // without the arguments of the stream
    #options;
    #events;
    #abort = new AbortController();
    #reader;
    #incoming = []; // [object, frame] that wait for the answer of a publication
    #outgoing = []; // publications; the first one is sent

    // events: received(object, frame), alive() for each piece, and lost(code,
    // reason). Nothing comes after close().
    constructor(address, query, options, events) {
        address.protocol = address.protocol.replace("ws", "http");
        this.#address = address;
        this.#options = options;
        this.#events = events;
        this.#read(query).catch(({ message }) => message).then((reason) =>
            this.#events?.lost(1006, reason));
    }

    // A publication that was sent is answered all the same. The abort() of Node
    // 18 leaves a connection open whose data was not read.
    close() {
        this.#events = undefined;
        this.#reader?.cancel().catch(() => {});
        this.#abort.abort();
        for (const { settle } of this.#outgoing.splice(1)) {
            settle({ lost: true, unsent: true });
        }
    }

    // -- events --

    // Resolves with a reason when the stream has ended.
    async #read(query) {
        await undefined; // a page may subscribe to rooms in this turn
        const { ok, status, headers, body } = await this.#fetch(query(), {
            headers: { Accept: "text/event-stream" },
            cache: "no-store", signal: this.#abort.signal });
        if (!ok || !/^text\/event-stream/.test(headers.get("Content-Type"))) {
            return `no stream: status ${status}`;
        }
        const decoder = new TextDecoder();
        const parser = new EventParser((fields) => this.#on_event(fields));
        this.#reader = body.getReader();
        for (;;) {
            const { done, value } = await this.#reader.read();
            if (done) {
                return "";
            }
            this.#events?.alive();
            parser.push(decoder.decode(value, { stream: true }));
        }
    }

    #fetch(query, { headers, ...more }) {
        const { fetch = globalThis.fetch, token } = this.#options;
        return fetch(with_query(this.#address, query), { ...more,
            headers: token === undefined ? headers
                : { ...headers, Authorization: `Bearer ${token}` } });
    }

    #on_event(fields) {
        this.#incoming.push([this.#object_of(fields), fields.data]);
        this.#deliver();
    }

    // A message of `room` is a payload, with the other members as fields. As
    // data has no carriage returns, a text with one is in base64 too.
    #object_of({ event = "message", id, data, base64, time, from, user }) {
        const is_binary = event === "binary";
        if (this.#options.subprotocol !== "room.v1.json"
            || (event !== "message" && !is_binary)) {
            return { type: event, ...parsed(data) };
        }
        return { type: "message", id, time: Number(time), from: parsed(from),
                 user: parsed(user),
                 ...is_binary ? { base64: data }
                     : { data: base64 === undefined ? data
                         : new TextDecoder("utf-8", { ignoreBOM: true })
                             .decode(bytes_of(base64)) } };
    }

    // The stream may bring a message before the answer shows that it is an own
    // one: equal messages wait for it.
    #deliver() {
        while (this.#incoming.length > 0 && this.#events
               && !this.#is_maybe_own(this.#incoming[0][0])) {
            const [object, frame] = this.#incoming.shift();
            if (object.type === "close") {
                this.#events.lost(object.code, object.reason);
            } else {
                this.#events.received(object, frame);
            }
        }
    }

    #is_maybe_own({ from, room, data }) {
        const [sent] = this.#outgoing;
        return !from && sent && sent.object.data === data
            && sent.object.publish === room;
    }

    // -- publications --

    // Other requests have no way to the server.
    request(object, settle, within) {
        if (object.data === undefined) {
            settle(new RoomError("an event stream cannot do this"));
        } else if (this.#outgoing.push({ object, settle, within }) === 1) {
            this.#send_next();
        }
    }

    // One at a time, so that they stay in order.
    async #send_next() {
        while (this.#outgoing.length > 0) {
            const [{ object, settle, within }] = this.#outgoing;
            settle(...await this.#post(object, within));
            this.#outgoing.shift();
            this.#deliver();
        }
    }

    async #post({ publish, data }, within) {
        try {
            const response = await this.#fetch([["room", publish]],
                { method: "POST", body: data, signal: within < Infinity
                    ? AbortSignal.timeout(within) : undefined });
            const { ok, status } = response;
            return ok ? [undefined, await response.json()]
                : [new RoomError(`status ${status}`,
                                 status >= 500 && status !== 503)];
        } catch {
            return [new RoomError(no_answer, true)];
        }
    }
}
