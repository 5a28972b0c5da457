// The echo page: one WebSocket to /echo, its state and its messages.

import { all_codes, describe_close } from "../close_codes.js";
import {
    format_ms, format_number, format_size, message_log, preview_text,
} from "./message_log.js";

const burst_size = 100;
const large_size = 1024 * 1024;
const too_big_size = 2 * large_size;
const max_round_trips = 100;
const max_reason_bytes = 123; // RFC 6455 section 5.5: 125 with the code
const many_scripts = "Grüße · Здравствуй · 你好 · こんにちは · שלום · "
    + "नमस्ते · 🙂 👩‍🚀";

const element = (id) => document.getElementById(id);
const set_text = (id, text) => { element(id).textContent = text; };
const encoder = new TextEncoder();

const address = new URL("../echo", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
address.search = "";
address.hash = "";

const log = new message_log(element("log"), element("log-empty"));
const counts = { messages_out: 0, messages_in: 0, bytes_out: 0, bytes_in: 0 };
const round_trips = [];
let counts_due = false;
let session;

// -- connection --

function connect() {
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    // `waiting` has the messages that were sent and not yet echoed, oldest
    // first.
    session = { socket, waiting: [], opened_at: 0, asked: undefined,
                reason: "" };
    const current = session;
    socket.addEventListener("open", () => opened(current));
    socket.addEventListener("message", (event) =>
        received(current, event.data));
    socket.addEventListener("close", (event) => closed(current, event));
    element("closed").hidden = true;
    show_state("connecting");
}

function opened(current) {
    current.opened_at = performance.now();
    show_state("open");
    log.note("Connected: what you send comes straight back.", "good");
    announce("Connected.");
}

function disconnect() {
    const reason = element("close-reason").value;
    const code = element("close-code").value.trim();
    if (session.asked !== undefined) {
        return;
    }
    session.asked = code === "" ? 1005 : Number(code);
    if (code === "") {
        session.socket.close();
    } else {
        session.reason = reason;
        session.socket.close(session.asked, reason);
    }
    show_state("closing");
    log.note(code === "" ? "Closing without a code."
        : `Closing with ${code}${reason ? `, “${reason}”` : ""}.`);
}

function closed(current, event) {
    if (current !== session) {
        return;
    }
    const opened = current.opened_at > 0;
    const { name, meaning, by } = describe_close(event,
        { opened, asked: current.asked });
    // A server may answer our Close frame with the code alone.
    const reason = event.reason || (by === "this page" ? current.reason : "");
    const lasted = (performance.now() - current.opened_at) / 1000;
    set_text("closed-code", event.code);
    set_text("closed-name", name);
    set_text("closed-meaning", meaning);
    set_text("closed-by", by);
    set_text("closed-reason", reason || "none given");
    set_text("closed-after", opened ? `${lasted.toFixed(1)} s` : "–");
    set_text("closed-lost", format_number(current.waiting.length));
    const card = element("closed");
    const calm = by === "this page" || [1000, 1001, 1005].includes(event.code);
    document.body.dataset.tone = calm ? "calm" : "bad";
    card.hidden = false;
    current.waiting.length = 0;
    log.note(`Closed: ${event.code} ${name}`
        + `${reason ? `, “${reason}”` : ""} (by: ${by}).`,
        calm ? "plain" : "bad");
    show_state("closed");
    show_counts();
    announce(`Connection closed with ${event.code}, ${name}. ${meaning} `
        + `Closed by ${by}.`);
}

// -- messages --

// Takes a string or a Uint8Array. The messages of a burst share one object, by
// which the last echo knows the time of all.
function send(data, burst) {
    if (session.socket.readyState !== WebSocket.OPEN) {
        return;
    }
    const text = typeof data === "string";
    const bytes = text ? encoder.encode(data).length : data.length;
    log.add({ direction: "out", data, bytes });
    session.waiting.push({ data, burst, sent_at: performance.now() });
    session.socket.send(data);
    counts.messages_out++;
    counts.bytes_out += bytes;
    show_counts();
}

function received(current, payload) {
    const now = performance.now();
    const text = typeof payload === "string";
    const data = text ? payload : new Uint8Array(payload);
    const bytes = text ? encoder.encode(data).length : data.length;
    counts.messages_in++;
    counts.bytes_in += bytes;

    // Echoes come back in order: this one answers the oldest message.
    const sent = current.waiting.shift();
    const same = sent !== undefined && equal(sent.data, data);
    const trip = sent ? now - sent.sent_at : NaN;
    log.add({ direction: "in", data, bytes, same,
              extra: same ? format_ms(trip) : "not what was sent" });
    if (sent) {
        round_trips.push(trip);
        round_trips.splice(0, round_trips.length - max_round_trips);
    }
    show_counts();
    if (sent?.burst) {
        burst_progress(sent.burst, now);
    } else if (text) {
        announce(`Echo: ${preview_text(data)}`);
    } else {
        announce(`Echo: ${format_number(bytes)} bytes of binary.`);
    }
}

function equal(sent, returned) {
    if (typeof sent === "string" || typeof returned === "string") {
        return sent === returned;
    }
    return sent.length === returned.length
        && sent.every((byte, at) => byte === returned[at]);
}

function burst_progress(burst, now) {
    burst.left--;
    if (burst.left > 0) {
        return;
    }
    const elapsed = Math.max(now - burst.started_at, 0.1);
    const rate = format_number(Math.round(burst_size / elapsed * 1000));
    const text = `${burst_size} messages echoed in ${format_ms(elapsed)}, `
        + `${rate} a second.`;
    log.note(text, "good");
    announce(text);
}

// The switch decides for typed and for made-up messages alike.
function send_text(text, burst) {
    // send() would put U+FFFD for half a surrogate pair: do it visibly.
    const whole = text.toWellFormed?.() ?? text;
    send(element("as-binary").checked ? encoder.encode(whole) : whole, burst);
}

function send_burst() {
    const burst = { left: burst_size, started_at: performance.now() };
    for (let number = 1; number <= burst_size; number++) {
        send_text(`message ${number} of ${burst_size}`, burst);
    }
}

function send_filler(size) {
    const line = "Frame after frame, and all of it one message. ";
    send_text(line.repeat(Math.ceil(size / line.length)).slice(0, size));
}

// -- display --

function show_state(state) {
    const had_focus = document.activeElement;
    document.body.dataset.state = state;
    set_text("state", state);
    for (const button of document.querySelectorAll("#send, .tests button")) {
        button.disabled = state !== "open";
    }
    element("disconnect").disabled = state === "closed";
    // A disabled or hidden button loses the focus: move it.
    if (had_focus?.disabled || had_focus?.id === "reconnect") {
        const next = state === "closed" ? "reconnect" : "message";
        element(next).focus({ preventScroll: true });
    }
}

// Once a frame: a layout per message would distort the round trips.
function show_counts() {
    if (!counts_due) {
        counts_due = true;
        requestAnimationFrame(write_counts);
    }
}

function write_counts() {
    counts_due = false;
    set_text("messages-out", format_number(counts.messages_out));
    set_text("messages-in", format_number(counts.messages_in));
    set_text("bytes-out", format_number(counts.bytes_out));
    set_text("bytes-in", format_number(counts.bytes_in));
    set_text("on-the-way", format_number(session.waiting.length));
    if (round_trips.length > 0) {
        const sorted = [...round_trips].sort((a, b) => a - b);
        set_text("rtt-last", format_ms(round_trips.at(-1)));
        set_text("rtt-median", format_ms(sorted[sorted.length >> 1]));
    }
}

function announce(text) {
    set_text("announcer", text);
}

function show_code_table() {
    for (const [code, name, meaning] of all_codes()) {
        const term = document.createElement("dt");
        const description = document.createElement("dd");
        term.textContent = `${code} ${name}`;
        description.textContent = meaning;
        element("code-table").append(term, description);
    }
}

// -- input --

function check_close_form() {
    const code = element("close-code");
    const reason = element("close-reason");
    const number = Number(code.value);
    const allowed = /^\s*(\d{4})?\s*$/.test(code.value)
        && (number === 0 || number === 1000
            || (number >= 3000 && number <= 4999));
    code.setCustomValidity(allowed ? ""
        : "A page may send 1000 or 3000 to 4999, or leave this empty.");
    const bytes = encoder.encode(reason.value).length;
    let fault = "";
    if (bytes > max_reason_bytes) {
        fault = `At most ${max_reason_bytes} bytes fit; this is ${bytes}.`;
    } else if (bytes > 0 && code.value.trim() === "") {
        fault = "A reason needs a code before it.";
    }
    reason.setCustomValidity(fault);
}

function submit_message(event) {
    event.preventDefault();
    const message = element("message");
    if (document.body.dataset.state !== "open" || message.value === "") {
        return;
    }
    send_text(message.value);
    message.value = "";
    show_message_size();
    message.focus();
}

function show_message_size() {
    set_text("message-size",
             format_size(encoder.encode(element("message").value).length));
}

function on_click(id, action) {
    element(id).addEventListener("click", action);
}

element("composer").addEventListener("submit", submit_message);
element("message").addEventListener("input", show_message_size);
element("message").addEventListener("keydown", (event) => {
    // While an input method composes, Enter belongs to it.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        submit_message(event);
    }
});
element("connection").addEventListener("input", check_close_form);
element("connection").addEventListener("submit", (event) => {
    event.preventDefault();
    disconnect();
});
// Browsers may keep a page and its connection for the back button: close the
// connection of a hidden page.
addEventListener("pagehide", (event) => {
    if (event.persisted) {
        session.socket.close();
    }
});
addEventListener("pageshow", (event) => {
    if (event.persisted) {
        connect();
    }
});
on_click("reconnect", connect);
on_click("clear", () => log.clear());
on_click("burst", send_burst);
on_click("scripts", () => send_text(many_scripts));
on_click("empty", () => send_text(""));
on_click("large", () => send_filler(large_size));
on_click("too-big", () => send_filler(too_big_size));

set_text("address", address.href);
show_code_table();
connect();
