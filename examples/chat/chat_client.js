// One client of a chat room: its WebSocket, which reconnects after each break,
// and the parser of the lines that the handler sends.

const first_delay = 500; // ms
const longest_delay = 15000; // ms
const settled_after = 5000; // ms
const says = " says ";

// Parses a line of the handler. Names are not verified, and one may imitate
// another. Any other line is shown as it is.
export function parse_line(line, room) {
    const at = line.indexOf(says);
    if (at > 0) {
        return { kind: "says", name: line.slice(0, at),
                 text: line.slice(at + says.length) };
    }
    for (const [kind, ending] of [["joined", ` has joined ${room}`],
                                  ["left", " has left"]]) {
        if (line.endsWith(ending) && line.length > ending.length) {
            return { kind, name: line.slice(0, -ending.length) };
        }
    }
    return { kind: "line", text: line };
}

function address_of(room, name) {
    const address = new URL(room, new URL(".", import.meta.url));
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("name", name);
    return address;
}

export class chat_client {
    // `listener` has the functions connecting(), opened(), line(parsed) and
    // closed(event, opened, delay in ms, lost texts).
    constructor(listener) {
        this.listener = listener;
        this.failures = 0;
        addEventListener("online", () => this.retry());
        // A page that the browser keeps for its back button leaves the room.
        addEventListener("pagehide", () => this.leave());
        addEventListener("pageshow", (event) => {
            if (event.persisted) {
                this.connect();
            }
        });
    }

    enter(room, name) {
        this.leave();
        this.room = room;
        this.name = name;
        this.failures = 0;
        this.connect();
    }

    leave() {
        clearTimeout(this.timer);
        this.timer = undefined;
        this.session?.socket.close();
        this.session = undefined;
    }

    // Connects now instead of at the end of the delay.
    retry() {
        if (this.timer !== undefined) {
            this.connect();
        }
    }

    connect() {
        clearTimeout(this.timer);
        this.timer = undefined;
        const socket = new WebSocket(address_of(this.room, this.name));
        // `waiting` has the texts that were sent and not yet received, oldest
        // first.
        const session = { socket, waiting: [], joined: false, opened_at: 0 };
        this.session = session;
        socket.addEventListener("open", () => this.opened(session));
        socket.addEventListener("message", (event) =>
            this.received(session, event.data));
        socket.addEventListener("close", (event) =>
            this.closed(session, event));
        this.listener.connecting();
    }

    // False if it is not connected; nothing is sent then.
    send(text) {
        if (this.session?.socket.readyState !== WebSocket.OPEN) {
            return false;
        }
        // send() replaces lone surrogates by U+FFFD, too.
        const whole = text.toWellFormed?.() ?? text;
        this.session.waiting.push(whole);
        this.session.socket.send(whole);
        return true;
    }

    opened(session) {
        if (session === this.session) {
            session.opened_at = performance.now();
            this.listener.opened();
        }
    }

    received(session, line) {
        if (session !== this.session || typeof line !== "string") {
            return;
        }
        // The room echoes in order: a line with the oldest waiting text is
        // ours, even if another client has the same name.
        const [oldest] = session.waiting;
        if (oldest !== undefined && line === this.name + says + oldest) {
            session.waiting.shift();
            this.listener.line({ kind: "says", name: this.name, text: oldest,
                             own: true });
            return;
        }
        const parsed = parse_line(line, this.room);
        parsed.own = !session.joined && parsed.kind === "joined"
            && parsed.name === this.name;
        session.joined ||= parsed.own;
        this.listener.line(parsed);
    }

    closed(session, event) {
        if (session !== this.session) {
            return;
        }
        const opened = session.opened_at > 0;
        if (opened && performance.now() - session.opened_at > settled_after) {
            this.failures = 0;
        }
        // Each delay is twice the one before. The random part prevents all
        // clients from reconnecting at once.
        const delay = Math.min(longest_delay, first_delay * 2 ** this.failures)
            * (0.75 + Math.random() / 2);
        this.failures++;
        this.session = undefined;
        this.timer = setTimeout(() => this.connect(), delay);
        this.listener.closed(event, opened, delay, session.waiting);
    }
}
