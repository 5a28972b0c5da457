// The room page: one room over the package nginx-websocket, its clients, and a
// connection that can be cut.

import { Room } from "../client/index.js";
import { describe_close } from "../close_codes.js";
import { make } from "../elements.js";
import { colour_of, plural, room_log } from "./room-log.js";

const first_room = "lobby";
const history = 50;
const max_named = 40;

const element = (id) => document.getElementById(id);
const set_text = (id, text) => { element(id).textContent = text; };
const is_room = (text) => /^\w+$/.test(text);

const wanted = new URLSearchParams(location.search).get("room") ?? first_room;
const name = is_room(wanted) ? wanted : first_room;
const room = new Room(`../room/${name}`, { history });
const log = new room_log(element("log"), element("rows"));

// -- the connection --

const state_labels = { connecting: "connecting", open: "open",
                       waiting: "offline", suspended: "cut",
                       closed: "closed" };
let cut_until; // as performance.now() counts; undefined: not cut
let away_since;
let countdown;
let resumed = false;
let unanswered = 0; // messages of this page
let show_recovered; // changes the row about recovered messages

function show_strip(what, why = "", until = undefined) {
    clearInterval(countdown);
    element("strip").hidden = what === "";
    set_text("strip-what", what);
    set_text("strip-why", why);
    if (until === undefined) {
        set_text("strip-when", "");
        return;
    }
    const update = () => {
        const left = Math.max(0, until - performance.now());
        set_text("strip-when", `Connecting in ${Math.ceil(left / 1000)} s.`);
        if (left === 0 && room.state === "suspended") {
            room.resume();
        }
    };
    countdown = setInterval(update, 200);
    update();
}

function show_lost({ delay, code, reason, was_open }) {
    const { name: code_name, meaning } =
        describe_close({ code }, { opened: was_open });
    if (was_open) {
        log.note(`Connection closed: ${code} ${code_name}`, "bad");
    }
    if (delay === undefined) {
        show_strip("Offline.", "Connecting when there is a network.");
    } else {
        show_strip(`${code} ${code_name}.`, reason || meaning,
                   performance.now() + delay);
    }
}

room.addEventListener("state", ({ detail }) => {
    const { state } = detail;
    document.body.dataset.state = { waiting: "closed", suspended: "closed" }
        [state] ?? state;
    document.body.dataset.tone = state === "suspended" ? "calm" : "bad";
    set_text("state", state_labels[state]);
    element("cut").disabled = state !== "open";
    show_waiting();
    switch (state) {
    case "open":
        give_back_focus();
        show_strip("");
        break;
    case "connecting":
        clearInterval(countdown);
        set_text("strip-when", "Connecting …");
        break;
    case "suspended":
        away_since ??= performance.now();
        break;
    case "waiting":
        away_since ??= performance.now();
        show_lost(detail);
        break;
    case "closed":
        log.note(`The room was closed: ${detail.reason || detail.code}`, "bad");
        show_strip("Closed by the server.", detail.reason);
        break;
    }
});

// A hidden button loses the focus.
function give_back_focus() {
    if (element("strip").contains(document.activeElement)) {
        element("text").focus({ preventScroll: true });
    }
}

room.addEventListener("welcome", ({ detail }) => {
    const { client, clients } = detail;
    ({ resumed } = detail);
    here.clear();
    show_here(clients);
    if (resumed) {
        const seconds = (performance.now() - away_since) / 1000;
        const text = `Back after ${seconds.toFixed(1)} s, as client ${client}`;
        show_recovered = log.note(`${text} …`, "good");
        show_recovered.text = text;
    } else {
        log.note(`You are client ${client}`, "good");
    }
    away_since = undefined;
});

room.addEventListener("caught_up", ({ detail }) => {
    if (show_recovered) {
        const count = `${plural(detail.messages, "message")} recovered`;
        const loss = detail.complete ? "none lost" : "some may be lost";
        show_recovered(`${show_recovered.text}: ${count}, ${loss}`,
                       detail.complete ? "good" : "bad");
        set_text("result", `${count}, ${loss}.`);
        show_recovered = undefined;
    }
});

const causes = {
    resume: "the room did not keep them all, or began again",
    slow: "this page took them too slowly",
    missing: "an id was left out",
};

room.addEventListener("gap", ({ detail }) => {
    log.note(`Gap, messages may be missing: ${causes[detail.cause]}`, "bad");
    set_text("result", "There is a gap.");
});

room.addEventListener("fault", ({ detail }) => {
    log.note(`Unexpected message of the server: ${detail.message}`,
             "bad");
});

function cut(event) {
    event.preventDefault();
    if (room.state !== "open") {
        return;
    }
    const seconds = element("seconds").valueAsNumber;
    room.suspend();
    log.note(`You cut the connection for ${plural(seconds, "second")}`, "warn");
    set_text("result", "");
    show_strip("Cut by you.", "Others go on publishing.",
               performance.now() + seconds * 1000);
}

element("cut-form").addEventListener("submit", cut);
element("retry").addEventListener("click", () => {
    if (room.state === "closed") {
        location.reload();
    } else if (room.state === "suspended") {
        room.resume();
    } else {
        room.retry();
    }
});

// -- presence --

// The server reports clients that join and leave. Earlier ones are only counted
// until they publish.
const here = new Set();

function show_here(clients) {
    const others = clients - 1;
    const unknown = Math.max(0, others - here.size);
    element("count").replaceChildren(...clients === 1 ? ["you alone"]
        : [`${clients} here`, make("span", { className: "wide-only",
            textContent: ", you included" })]);
    const rows = [here_row("you", `You, ${room.client}`, room.client)];
    for (const client of Array.from(here).slice(-max_named)) {
        rows.push(here_row("other", `Client ${client}`, client));
    }
    const more = unknown + Math.max(0, here.size - max_named);
    if (more > 0) {
        rows.push(here_row("more", `${more} more`));
    }
    element("here").replaceChildren(...rows);
}

function here_row(kind, label, client) {
    const row = make("li", { textContent: label });
    Object.assign(row.dataset, { kind,
        colour: client === undefined ? "" : colour_of(client) });
    return row;
}

room.addEventListener("presence", ({ detail }) => {
    const { type, client, clients } = detail;
    if (client === null) {
        here.clear(); // those that left are not known
    } else if (type === "joined") {
        here.add(client);
    } else {
        here.delete(client);
    }
    log.note(`${client === null ? "Some" : `Client ${client}`} ${type}`);
    show_here(clients);
});

room.addEventListener("message", ({ detail }) => {
    const { from, own, missed } = detail;
    log.message(detail, missed && resumed);
    if (from !== null && !own && !missed && !here.has(from)) {
        here.add(from);
        show_here(room.clients);
    }
});

// -- publishing --

async function publish(text) {
    unanswered++;
    show_waiting();
    try {
        await room.publish(text);
    } catch (error) {
        const doubt = error.uncertain ? "Perhaps not published" :
            "Not published";
        log.note(`${doubt}, ${error.message}: ${text.slice(0, 200)}`, "bad");
    }
    unanswered--;
    show_waiting();
}

function show_waiting() {
    const held = unanswered > 0 && room.state !== "open";
    set_text("waiting", held ? `${plural(unanswered, "message")} to send`
        : "");
}

function submit(event) {
    event.preventDefault();
    const text = element("text");
    if (text.value.trim() !== "") {
        publish(text.value);
        text.value = "";
        log.show_end();
    }
    text.focus();
}

element("form").addEventListener("submit", submit);
element("text").addEventListener("keydown", (event) => {
    // While an input method composes, Enter belongs to it.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        submit(event);
    }
});

let ticks = 0;
setInterval(() => {
    if (element("ticks").checked && room.state === "open") {
        publish(`tick ${++ticks}`);
    }
}, 1000);

// -- the page --

element("details").addEventListener("change", ({ target }) =>
    element("log").classList.toggle("detailed", target.checked));

element("chooser").addEventListener("submit", (event) => {
    event.preventDefault();
    location.assign(`?room=${element("other").value}`);
});

// Browsers have a clipboard on https:// and on this machine only.
element("copy").hidden = navigator.clipboard === undefined;
element("copy").addEventListener("click", async () => {
    try {
        await navigator.clipboard.writeText(element("curl").textContent);
        set_text("copied", "Copied.");
    } catch {
        getSelection().selectAllChildren(element("curl"));
        set_text("copied", "Selected.");
    }
});

if (name !== wanted) {
    set_text("room-fault", `“${wanted.slice(0, 40)}” cannot be a room, so this `
        + `is the ${first_room}.`);
    element("room-fault").hidden = false;
}
document.title = `${name} · WebSocket rooms`;
set_text("room-name", name);
set_text("address", `/room/${name}`);
set_text("curl", "curl -d 'Hello from a shell' "
    + `'${new URL(`/publish?room=${name}`, location.href)}'`);
element("window").href = `?room=${name}`;
