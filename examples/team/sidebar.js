// The side bar: the rooms, and the people with their state.

import { make } from "../elements.js";
import { avatar } from "./avatar.js";
import { place } from "./rows.js";

const element = (id) => document.getElementById(id);

export function plural(count, word) {
    return `${count} ${word}${count === 1 ? "" : "s"}`;
}

// A button that opens a conversation.
class Entry {
    #count = make("span", { className: "count" });
    #online = make("span", { className: "hidden" });

    constructor(conversation, choose) {
        const { kind, title, is_private } = conversation;
        const icon = kind === "person" ? avatar(title)
            : make("span", { className: "sign",
                             attributes: { "aria-hidden": "true",
                                           "data-private": is_private } });
        this.conversation = conversation;
        this.button = make("button", { type: "button", className: "entry" },
            icon, make("span", { className: "label", dir: "auto",
                                 textContent: title }),
            ...(is_private ? [make("span", { className: "hidden",
                                             textContent: "private" })] : []),
            this.#online, this.#count);
        this.button.addEventListener("click", () => choose(conversation));
        this.row = make("li", {}, this.button);
        this.row.dataset.conversation = conversation.id;
    }

    update(shown, online) {
        const { unread, kind } = this.conversation;
        const badge = unread > 99 ? "99+" : String(unread);
        if (kind === "person") {
            this.row.dataset.online = online;
            this.#online.textContent = online ? "online" : "offline";
        }
        this.row.dataset.unread = unread;
        this.#count.hidden = unread === 0;
        if (this.#count.dataset.shown !== badge) {
            this.#count.dataset.shown = badge;
            this.#count.replaceChildren(badge, make("span", {
                className: "hidden", textContent: " unread" }));
        }
        if (shown) {
            this.button.setAttribute("aria-current", "page");
        } else {
            this.button.removeAttribute("aria-current");
        }
    }
}

export class Sidebar {
    #chat;
    #choose;
    #entries = new Map(); // by conversation

    constructor(chat, choose) {
        this.#chat = chat;
        this.#choose = choose;
        this.#set_user(chat.user);
        this.update();
    }

    // Conversations in the order of the side bar.
    get order() { return [...this.#chat.rooms, ...this.#chat.people]; }

    update() {
        const { rooms, people, online, shown, user } = this.#chat;
        const rows_of = (conversations) => conversations.map((each) => {
            const entry = this.#entry(each);
            entry.update(each === shown, online.has(each.title));
            return entry.row;
        });
        place(element("rooms"), rows_of(rooms));
        place(element("people"), rows_of(people));
        const others = [...online].filter((name) => name !== user).length;
        element("online-count").textContent = `${others} online`;
        element("people-empty").hidden = people.length > 0;
    }

    #entry(conversation) {
        if (!this.#entries.has(conversation)) {
            this.#entries.set(conversation,
                              new Entry(conversation, this.#choose));
        }
        return this.#entries.get(conversation);
    }

    #set_user(user) {
        element("own-avatar").replaceChildren(avatar(user));
        element("own-name").textContent = user;
    }
}

// The side bar of a phone is a drawer: what it covers cannot be reached.
export class Drawer {
    #narrow = matchMedia("(max-width: 48rem)");
    #open = false;

    constructor() {
        const toggle = (open) => () => this.toggle(open);
        element("menu").addEventListener("click", toggle(true));
        element("close-drawer").addEventListener("click", toggle(false));
        element("shade").addEventListener("click", toggle(false));
        this.#narrow.addEventListener("change", () => this.toggle(this.#open));
        element("side").addEventListener("keydown", (event) => {
            if (event.key === "Escape") {
                this.toggle(false);
            }
        });
        this.toggle(false);
    }

    get is_open() { return this.#open; }
    get is_narrow() { return this.#narrow.matches; }

    toggle(open) {
        const was_open = this.#open;
        this.#open = open && this.#narrow.matches;
        document.body.dataset.drawer = this.#open ? "open" : "closed";
        element("side").inert = this.#narrow.matches && !this.#open;
        element("talk").inert = this.#open;
        element("shade").hidden = !this.#open;
        element("menu").setAttribute("aria-expanded", String(this.#open));
        if (this.#open) {
            (element("side").querySelector("[aria-current]")
                ?? element("close-drawer")).focus();
        } else if (was_open) {
            element("menu").focus();
        }
    }
}
