// The rows of a room's log. Published texts become textContent, never markup.

import { make } from "../elements.js";

const max_rows = 400;
const max_length = 4000; // characters of a message
const max_bytes = 64; // of a binary one
const colours = 8;

export function plural(count, word) {
    return `${count} ${word}${count === 1 ? "" : "s"}`;
}

// Successive ids get different colours.
export function colour_of(client) {
    return String(client % colours);
}

function shown_text(data) {
    if (typeof data !== "string") {
        const bytes = Array.from(data.slice(0, max_bytes), (each) =>
            each.toString(16).padStart(2, "0")).join(" ");
        return `${plural(data.length, "byte")}: ${bytes}`
            + (data.length > max_bytes ? " …" : "");
    }
    // A cut between two surrogates would show half a character.
    return data.length <= max_length ? data : `${data.slice(0, max_length)
        .replace(/[\ud800-\udbff]$/, "")} …`;
}

function digits(value, count = 2) {
    return String(value).padStart(count, "0");
}

function time_of(milliseconds) {
    const time = new Date(milliseconds);
    const short = `${digits(time.getHours())}:${digits(time.getMinutes())}`;
    return { short, exact: `${short}:${digits(time.getSeconds())}.${
        digits(time.getMilliseconds(), 3)}`, iso: time.toISOString() };
}

export class room_log {
    constructor(log, rows) {
        this.log = log;
        this.rows = rows;
    }

    message({ id, time, from, data, own }, recovered) {
        const { short, exact, iso } = time_of(time);
        const who = own ? `You, ${from}` : from === null ? "HTTP"
            : `Client ${from}`;
        const row = make("li", { className: "message" },
            make("span", { className: "who", textContent: who }),
            make("p", { className: "text", dir: "auto",
                textContent: shown_text(data) }),
            make("time", { dateTime: iso, textContent: short }),
            make("p", { className: "details" },
                make("span", { textContent: `id ${id}` }), " ",
                make("span", { textContent: exact })));
        Object.assign(row.dataset, { id, recovered, kind: own ? "own"
            : from === null ? "http" : "other",
            colour: from === null ? "" : colour_of(from) });
        this.add(row);
    }

    // Adds a line of the page itself. Returns a function that changes its text.
    note(text, tone = "plain") {
        const label = make("span", { textContent: text });
        const row = make("li", { className: "note" }, label);
        Object.assign(row.dataset, { kind: "note", tone });
        this.add(row);
        return (other, other_tone = tone) => {
            label.textContent = other;
            row.dataset.tone = other_tone;
        };
    }

    add(row) {
        this.rows.append(row);
        while (this.rows.childElementCount > max_rows) {
            this.rows.firstElementChild.remove();
        }
    }

    show_end() {
        this.log.scrollTop = 0; // the end: see room.css
    }
}
