// The page of the chat in Python: its messages and users, as the backend sends
// them.

import { own_name } from "../chat/own_name.js";
import { make } from "../elements.js";
import { element, live_page } from "../live_page.js";

const max_lines = 100;

let own_id;

// The newest comes first; as text, never as markup.
function add_line(name, ...content) {
    element("log").prepend(make("li", { className: name, dir: "auto" },
                                ...content));
    element("log-empty").hidden = true;
    if (element("log").childElementCount > max_lines) {
        element("log").lastElementChild.remove();
    }
}

function received(message) {
    if ("you" in message) {
        own_id = message.you;
    }
    if ("text" in message) {
        add_line(message.client === own_id ? "own" : "other",
                 make("strong", { textContent: message.name }), " ",
                 message.text);
    }
    for (const change of ["joined", "left"]) {
        if (change in message) {
            add_line("note", `${message[change]} ${change}`);
        }
    }
    if ("users" in message) {
        element("users").replaceChildren(...message.users.map(
            (name) => make("li", { textContent: name, dir: "auto" })));
    }
}

const name = own_name(new URLSearchParams(location.search).get("name"));
const page = new live_page(`live?name=${encodeURIComponent(name)}`, {
    // An empty message: from here on the page gets all that the chat sends.
    opened: () => page.send(""),
    received,
});

element("name").textContent = name;
element("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const message = element("message");
    if (message.value.trim() !== "") {
        page.send(message.value);
        message.value = "";
    }
    message.focus();
});
