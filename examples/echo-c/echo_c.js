// The page of the handler in C: one WebSocket, and a list of its messages.

import { describe_close } from "../close_codes.js";

const max_lines = 100;

const element = (id) => document.getElementById(id);

const address = new URL("../echo-c", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
address.search = "";
address.hash = "";

let socket;

function connect() {
    const current = new WebSocket(address);
    let opened = false;
    socket = current;
    current.addEventListener("open", () => {
        opened = true;
        show_state("open");
    });
    current.addEventListener("message", (event) => add_line(event.data));
    current.addEventListener("close", (event) => {
        if (current === socket) {
            const { name, meaning } = describe_close(event, { opened });
            add_line(`Closed with ${event.code}, ${name}. ${meaning}`, "note");
            show_state("closed");
        }
    });
    show_state("connecting");
}

function show_state(state) {
    document.body.dataset.state = state;
    element("state").textContent = state;
    element("send").disabled = state !== "open";
    element("send").hidden = state === "closed";
    element("reconnect").hidden = state !== "closed";
}

// The newest comes first; as text, never as markup.
function add_line(text, name = "") {
    const line = document.createElement("li");
    line.className = name;
    line.dir = "auto";
    line.textContent = text;
    element("log").prepend(line);
    element("log-empty").hidden = true;
    if (element("log").childElementCount > max_lines) {
        element("log").lastElementChild.remove();
    }
}

element("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const message = element("message");
    if (socket.readyState === WebSocket.OPEN && message.value !== "") {
        socket.send(message.value);
        message.value = "";
    }
    message.focus();
});
element("reconnect").addEventListener("click", () => {
    connect();
    element("message").focus();
});
// A page that the browser keeps for its back button has no connection.
addEventListener("pagehide", () => socket.close());
addEventListener("pageshow", (event) => {
    if (event.persisted) {
        connect();
    }
});

element("address").textContent = address.href;
connect();
