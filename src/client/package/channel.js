// One room over a connection: its messages in order, its gaps, and the messages
// that this client publishes there. `Room` has one channel, `Rooms` many.

import { with_defaults } from "./options.js";
import { Position } from "./position.js";
import {
    RoomError, no_answer, parse_id, payload, unanswered, well_formed,
} from "./shared.js";

export class Channel {
    client; // the id of this connection
    clients;
    position;
    #host;
    #options;
    #own_clients = new Set(); // ids of this and of former connections
    #catch_up_until; // the number of the last missed message, or undefined
    #catch_up; // { messages, complete }, as the event has them
    // Publications without a result, in order. `client` is the id of the
    // connection that sent them, `asked`: that connection may still answer.
    #pending = new Set();

    // host: emit(name, detail), can_send(), and request(data, settle), which
    // calls settle(error, answer) at once when there is a result.
    constructor(host, options) {
        this.#host = host;
        this.#options = with_defaults(options);
        const { history, since } = this.#options;
        const seen = since === undefined ? undefined : parse_id(since);
        if (seen === null) {
            throw new TypeError(`no id: ${since}`);
        }
        this.position = new Position(history, seen);
    }

    // -- the connection --

    // The client is in the room. False if the answer is invalid.
    begin(client, { last, clients, recovered }) {
        const end = parse_id(last);
        if (!end) {
            return false;
        }
        const { seen, last: after } = this.position;
        const lost = this.position.begin(end, recovered);
        if (seen && seen.epoch !== end.epoch) {
            this.#own_clients.clear(); // the server may be another one
        }
        this.#own_clients.add(client);
        this.client = client;
        this.clients = clients;
        this.#catch_up_until = end.number;
        this.#catch_up = { messages: 0, complete: !lost };
        return { resumed: seen !== undefined, lost, after };
    }

    // The page knows that the client is in the room. The argument is what
    // begin() has returned.
    start({ lost, after }) {
        if (lost) {
            this.#reject(({ sent, asked }) => sent && !asked, unanswered);
            this.#host.emit("gap", { cause: "resume", after });
        }
        this.#pending.forEach((entry) => {
            this.#send(entry);
            this.#await_resume(entry);
        });
        this.#check_caught_up();
    }

    // The connection is lost.
    pause() {
        this.#catch_up_until = undefined;
        this.#pending.forEach(({ timer }) => clearTimeout(timer));
    }

    end(reason) {
        this.#reject(() => true, reason);
    }

    // -- objects of the server --

    // Returns false if the object is invalid.
    received(object) {
        switch (object.type) {
        case "message": return this.#message(object);
        case "joined":
        case "left": return this.#presence(object);
        case "gap": return this.#gap();
        case "published": return this.#published(object);
        default: return true; // of a newer server
        }
    }

    #message(object) {
        const id = parse_id(object.id);
        const data = payload(object);
        const { position } = this;
        if (!id || data === undefined) {
            return false;
        }
        if (!position.is_new(id)) {
            return true; // a duplicate, or older than wanted
        }
        const { time, from = null, user } = object;
        if (position.is_gap_before(id)) {
            this.#report_gap("missing");
        }
        const missed = id.number <= this.#catch_up_until;
        this.#catch_up.messages += missed ? 1 : 0;
        this.#check_caught_up(!missed);
        const answered = position.acknowledged.delete(id.number);
        const own = answered || this.#own_clients.has(from);
        const published = own && !answered
            ? this.#find_published(from, data) : undefined;
        position.advance(id);
        this.#host.emit("message", { id: object.id, time, from, user, data, own,
                                     missed });
        this.#settle(published, ({ resolve }) => resolve(object.id));
        this.#check_caught_up();
        return true;
    }

    #gap() {
        this.position.allow_gap();
        this.#report_gap("slow");
    }

    // The server sends presence only to clients that have caught up.
    #presence(object) {
        this.clients = object.clients;
        this.#check_caught_up(true);
        this.#host.emit("presence", object);
    }

    #published({ id }) {
        const given = parse_id(id);
        if (given) {
            this.position.acknowledge(given);
        }
        return given !== null;
    }

    #report_gap(cause) {
        this.#catch_up.complete = false;
        this.#host.emit("gap", { cause, after: this.position.last });
    }

    #check_caught_up(sure = this.position.seen.number
                     >= this.#catch_up_until) {
        if (sure && this.#catch_up_until !== undefined) {
            this.#catch_up_until = undefined;
            this.#reject(({ sent, asked, client }) => sent && !asked
                && client !== this.client, unanswered);
            this.#host.emit("caught_up", { ...this.#catch_up });
        }
    }

    // -- publishing --

    async publish(text, refusal) {
        const { most_waiting } = this.#options;
        if (typeof text !== "string") {
            throw new TypeError("publish() takes a string");
        }
        const waiting = [...this.#pending].filter(({ sent }) => !sent);
        const reason = refusal || (!this.#host.can_send()
            && waiting.length >= most_waiting
            && "too many messages wait for a connection");
        if (reason) {
            throw new RoomError(reason);
        }
        return new Promise((resolve, reject) => {
            const entry = { data: well_formed(text), resolve, reject };
            this.#pending.add(entry);
            this.#send(entry);
        });
    }

    // Not before those that an event stream has sent are answered.
    #send(entry) {
        const { client } = this;
        if (!entry.sent && this.#host.can_send() && ![...this.#pending].some(
            (each) => each.asked && each.client !== client)) {
            Object.assign(entry, { sent: true, asked: true, client });
            this.#host.request(entry.data, (error, answer) => {
                entry.asked = false;
                const valid = this.#answered(entry, error, answer);
                this.#pending.forEach((each) => this.#send(each));
                return valid;
            });
        }
    }

    #answered(entry, error, answer) {
        if (error?.lost) {
            // Unsent messages are sent by the next connection. Of sent ones a
            // resume shows whether they have arrived.
            entry.sent = !error.unsent;
            return true;
        }
        const valid = error || this.#published(answer);
        this.#settle(entry, ({ resolve, reject }) => (valid && !error
            ? resolve(answer.id)
            : reject(error || new RoomError(no_answer, true))));
        return valid;
    }

    // Without a connection no answer can arrive, so the time begins again.
    #await_resume(entry) {
        const { answer_within } = this.#options;
        if (entry.sent && !entry.asked && this.#host.can_send() && answer_within !== Infinity) {
            entry.timer = setTimeout(
                () => this.#reject((each) => each === entry, no_answer),
                answer_within);
        }
    }

    #settle(entry, call) {
        if (entry && this.#pending.delete(entry)) {
            clearTimeout(entry.timer);
            call(entry);
        }
    }

    // Answers come in the order of the messages: of several with the same text
    // the first one is meant.
    #find_published(from, data) {
        return [...this.#pending].find((each) => each.sent
            && each.client === from && each.data === data);
    }

    #reject(which, reason) {
        for (const entry of this.#pending) {
            if (which(entry)) {
                this.#settle(entry, ({ reject, sent = false }) => reject(
                    new RoomError(reason, sent)));
            }
        }
    }
}
