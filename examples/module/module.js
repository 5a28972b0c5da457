// A page with one import, which nginx serves: no bundler and no npm.

import { Room } from "/client/index.js";

const names = { "websocket": "WebSocket", "event-stream": "event stream" };

const element = (id) => document.getElementById(id);
const transport = new URLSearchParams(location.search).get("transport")
    ?? "auto";

const room = new Room("/room/module", { history: 20, transport });

room.addEventListener("state", ({ detail: { state } }) => {
    document.body.dataset.state = state === "waiting" ? "closed" : state;
    element("state").textContent = state;
    element("transport").textContent = names[room.transport];
});

element("composer").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = element("message").value;
    element("message").value = "";
    try {
        await room.publish(text);
    } catch ({ message }) {
        show(`Not published: ${message}`);
    }
});

// The newest comes first; as text, never as markup.
function show(text) {
    const line = document.createElement("li");
    line.textContent = text;
    line.dir = "auto";
    element("log").prepend(line);
    element("log-empty").hidden = true;
}

for await (const { data, own } of room) {
    show(`${own ? "You: " : ""}${data}`);
}
