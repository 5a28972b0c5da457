// One client of a chat room: its WebSocket, which connects again after each
// break, and the lines of plain text that the handler sends.

const first_delay = 500; // ms
const longest_delay = 15000; // ms
const settled_after = 5000; // ms
const says = " says ";

// What a line of the handler tells. The words come from whoever wrote them: a
// name may imitate another, and what looks like no such line is shown as it is.
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
    // `told` has a function for each thing that happens: connecting(),
    // opened(), line(parsed), closed(event, opened, delay in ms, lost texts).
    constructor(told) {
        this.told = told;
        this.failures = 0;
        addEventListener("online", () => this.retry());
        // Browsers may keep a page that was left for the way back: nobody is
        // in the room meanwhile.
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

    // At once instead of at the end of the delay.
    retry() {
        if (this.timer !== undefined) {
            this.connect();
        }
    }

    connect() {
        clearTimeout(this.timer);
        this.timer = undefined;
        const socket = new WebSocket(address_of(this.room, this.name));
        // `waiting` holds what was sent and has not come back, oldest first.
        const mine = { socket, waiting: [], joined: false, opened_at: 0 };
        this.session = mine;
        socket.addEventListener("open", () => this.opened(mine));
        socket.addEventListener("message", (event) =>
            this.received(mine, event.data));
        socket.addEventListener("close", (event) => this.closed(mine, event));
        this.told.connecting();
    }

    // False: not connected, and not sent.
    send(text) {
        if (this.session?.socket.readyState !== WebSocket.OPEN) {
            return false;
        }
        // send() would put U+FFFD for half a surrogate pair.
        const whole = text.toWellFormed?.() ?? text;
        this.session.waiting.push(whole);
        this.session.socket.send(whole);
        return true;
    }

    opened(mine) {
        if (mine === this.session) {
            mine.opened_at = performance.now();
            this.told.opened();
        }
    }

    received(mine, line) {
        if (mine !== this.session || typeof line !== "string") {
            return;
        }
        // The room hears its members in order, and each member itself: a line
        // with the oldest of our texts is ours, whoever shares our name.
        const [oldest] = mine.waiting;
        if (oldest !== undefined && line === this.name + says + oldest) {
            mine.waiting.shift();
            this.told.line({ kind: "says", name: this.name, text: oldest,
                             own: true });
            return;
        }
        const parsed = parse_line(line, this.room);
        parsed.own = !mine.joined && parsed.kind === "joined"
            && parsed.name === this.name;
        mine.joined ||= parsed.own;
        this.told.line(parsed);
    }

    closed(mine, event) {
        if (mine !== this.session) {
            return;
        }
        const opened = mine.opened_at > 0;
        if (opened && performance.now() - mine.opened_at > settled_after) {
            this.failures = 0;
        }
        // Each delay twice the one before; the random part keeps the clients
        // of a server that stopped from coming back all at once.
        const delay = Math.min(longest_delay, first_delay * 2 ** this.failures)
            * (0.75 + Math.random() / 2);
        this.failures++;
        this.session = undefined;
        this.timer = setTimeout(() => this.connect(), delay);
        this.told.closed(event, opened, delay, mine.waiting);
    }
}
