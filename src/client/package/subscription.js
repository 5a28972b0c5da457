// One room of a Rooms. README.md describes it.

import { Channel } from "./channel.js";
import { iterate } from "./iterate.js";
import { RoomError, dispatch } from "./shared.js";

// The room as a page has it.
export class Subscription extends EventTarget {
    #member;

    constructor(member) {
        super();
        this.#member = member;
    }

    get name() { return this.#member.name; }
    get subscribed() { return this.#member.is_subscribed; }
    get clients() { return this.#member.channel.clients; }
    get last() { return this.#member.channel.position.last; }

    publish(text) { return this.#member.publish(text); }
    presence() { return this.#member.presence(); }
    unsubscribe() { this.#member.host.leave(); }

    [Symbol.asyncIterator]() {
        return iterate(this, this.#member.ended);
    }
}

// The room as its Rooms has it.
export class Member {
    room = new Subscription(this);
    channel;
    is_subscribed = false;
    is_requested = false; // by a request that is not answered
    refused; // the server's reason, over this connection
    ended; // why it was left
    #waiters = []; // promises of subscribe()

    // host: emit(name, detail), is_connected(), can_send(), request(object,
    // settle) and leave().
    constructor(name, host, options) {
        this.name = name;
        this.host = host;
        this.channel = new Channel({
            emit: (kind, detail) => this.#emit(kind, detail),
            can_send: () => this.is_subscribed && host.can_send(),
            request: (data, settle) =>
                host.request({ publish: name, data }, settle),
        }, options);
    }

    get is_wanted() {
        return !this.is_subscribed && !this.is_requested && !this.refused;
    }

    // A promise of the room, for subscribe(). Pages need not await it.
    wait() {
        this.refused = undefined;
        if (this.is_subscribed) {
            return Promise.resolve(this.room);
        }
        const promise = new Promise((resolve, reject) =>
            this.#waiters.push({ resolve, reject }));
        promise.catch(() => {});
        return promise;
    }

    // True if a page waits for it.
    begin(client, answer) {
        const begun = this.channel.begin(client, answer);
        if (!begun) {
            return false;
        }
        const { last, clients } = answer;
        const waiters = this.#waiters.splice(0);
        this.is_subscribed = true;
        this.#emit("subscribed", { last, clients, resumed: begun.resumed,
                                   recovered: !begun.lost });
        waiters.forEach(({ resolve }) => resolve(this.room));
        this.channel.start(begun);
        return waiters.length > 0;
    }

    refuse(reason) {
        this.refused = reason;
        this.channel.end(reason);
        this.#fail(reason);
        this.#emit("refused", { reason });
    }

    // The connection is lost.
    pause() {
        this.is_subscribed = false;
        this.refused = undefined;
        this.channel.pause();
    }

    end(reason) {
        if (!this.ended) {
            this.ended = reason;
            this.is_subscribed = false;
            this.channel.pause();
            this.channel.end(reason);
            this.#fail(reason);
            dispatch(this.room, "end", { reason });
        }
    }

    publish(text) {
        return this.channel.publish(text, this.ended ?? this.refused);
    }

    // All users, with the number of the clients of each.
    async presence() {
        const users = [];
        let page;
        do {
            const after = users.at(-1)?.user;
            page = await new Promise((resolve, reject) => {
                this.host.request({ presence: this.name, after },
                    (error, answer) => (error ? reject(error)
                        : resolve(answer)));
            });
            users.push(...page.users);
        } while (page.more);
        return { clients: page.clients, users };
    }

    // Events of the room are events of its Rooms too. A listener may have ended
    // the connection, or left the room.
    #emit(kind, detail) {
        if (!this.ended && this.host.is_connected()) {
            dispatch(this.room, kind, detail);
            this.host.emit(kind, { room: this.name, ...detail });
        }
    }

    #fail(reason) {
        this.#waiters.splice(0).forEach(({ reject }) =>
            reject(new RoomError(reason)));
    }
}
