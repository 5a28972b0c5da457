// The page of the list in PHP: shows the newest list, and sends changes.

import { make } from "../elements.js";
import { element, live_page } from "../live_page.js";

let version = -1;

function send(change) {
    page.send(JSON.stringify(change));
}

function task(id, { text, done }) {
    const box = make("input", { type: "checkbox", checked: done });
    box.addEventListener("change", () => send({ id, done: box.checked }));
    const remove = make("button", { type: "button", className: "plain",
        textContent: "Remove", attributes: { "aria-label": `Remove ${text}` } });
    remove.addEventListener("click", () => send({ remove: id }));
    return make("li", { className: "task" },
        make("label", {}, box, make("span", { textContent: text, dir: "auto" })),
        remove);
}

// A reply may come after a later list that went to all.
function received(list) {
    if (list.version < version) {
        return;
    }
    version = list.version;
    const items = Object.entries(list.items);
    element("tasks").replaceChildren(...items.map(
        ([id, item]) => task(Number(id), item)));
    element("tasks-empty").hidden = items.length > 0;
}

const page = new live_page("live", {
    // An empty message asks for the list. From here on the page gets all
    // changes.
    opened: () => page.send(""),
    received,
});

element("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = element("text");
    if (text.value.trim() !== "") {
        send({ add: text.value });
        text.value = "";
    }
    text.focus();
});
