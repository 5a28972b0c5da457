// The page of the team chat: the log-in, and then one Chat with its views.

import { Api } from "./api.js";
import { Chat } from "./chat.js";
import { ConversationView } from "./conversation.js";
import { Drawer, Sidebar } from "./sidebar.js";

const element = (id) => document.getElementById(id);
const set_text = (id, text) => { element(id).textContent = text; };
const session_key = "team:session"; // of this window alone: see README.md
const shown_key = "team:shown";
const name_key = "team:name";

const state_names = { connecting: "Connecting …", open: "Online",
                      waiting: "Offline", suspended: "Offline",
                      closed: "Offline" };

// -- the log-in --

function show_log_in(notice = "") {
    sessionStorage.removeItem(session_key);
    sessionStorage.removeItem(shown_key);
    document.body.dataset.state = "log-in";
    document.title = "Team chat";
    element("log-in").hidden = false;
    element("app").hidden = true;
    set_text("log-in-notice", notice);
    element("name").value = localStorage.getItem(name_key) ?? "";
    element("name").select();
}

async function log_in(name) {
    const api = new Api("api");
    const button = element("log-in-button");
    button.disabled = true;
    set_text("log-in-notice", "");
    try {
        const user = await api.log_in(name);
        localStorage.setItem(name_key, user);
        sessionStorage.setItem(session_key, JSON.stringify(
            { user, session: api.session }));
        start_page(api, user);
    } catch (error) {
        set_text("log-in-notice", error.message);
        element("name").focus();
    } finally {
        button.disabled = false;
    }
}

element("log-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    log_in(element("name").value);
});

for (const button of document.querySelectorAll("[data-name]")) {
    button.addEventListener("click", () => log_in(button.dataset.name));
}

// -- the chat --

const drawer = new Drawer();

class Page {
    #api;
    #chat;
    #sidebar;
    #view;
    #drafts = new Map(); // by conversation
    #listeners = new AbortController();
    #countdown;

    constructor(api, user) {
        this.#api = api;
        this.#chat = new Chat(api, user, "live");
        this.#sidebar = new Sidebar(this.#chat, (each) => this.#choose(each));
        this.#view = new ConversationView((message) =>
            this.#chat.send_again(this.#chat.shown, message));
        this.#listen();
        this.#show_state({ state: this.#chat.state });
    }

    #listen() {
        const { signal } = this.#listeners;
        const on = (target, name, call) =>
            target.addEventListener(name, call, { signal });
        const chat = this.#chat;
        on(chat, "state", ({ detail }) => this.#show_state(detail));
        on(chat, "list", () => this.#update_list());
        on(chat, "message", ({ detail }) => {
            if (detail.conversation === chat.shown) {
                this.#view.update();
                this.#show_empty();
            }
        });
        on(chat, "ended", ({ detail }) => this.#end(
            detail.reason || "The server has ended the connection."));
        on(document, "visibilitychange", () => this.#show(chat.shown));
        on(document, "keydown", (event) => this.#on_key(event));
        on(element("composer"), "submit", (event) => {
            event.preventDefault();
            this.#send();
        });
        on(element("text"), "input", () => this.#show_composer());
        on(element("retry"), "click", () => chat.retry());
        on(element("log-out"), "click", () => {
            this.#api.log_out().catch(() => {}); // then the session ends later
            this.#end();
        });
    }

    #end(notice) {
        clearInterval(this.#countdown);
        this.#listeners.abort();
        this.#chat.close();
        drawer.toggle(false);
        element("lines").replaceChildren();
        element("text").value = "";
        show_log_in(notice);
    }

    // -- the connection --

    #show_state({ state, delay }) {
        clearInterval(this.#countdown);
        document.body.dataset.state = state;
        set_text("state", state_names[state]);
        this.#show_empty();
        this.#show_title();
        element("strip").hidden = !["waiting", "suspended"].includes(state)
            && !(state === "connecting" && !element("strip").hidden);
        set_text("strip-text", state === "connecting"
            ? "Connecting again …" : "No connection.");
        set_text("strip-when", "");
        if (state === "waiting" && delay !== undefined) {
            this.#count_down(performance.now() + delay);
        }
        if (state === "open" && element("retry") === document.activeElement) {
            element("text").focus();
        }
    }

    #count_down(end) {
        const update = () => {
            const left = Math.max(0, end - performance.now());
            set_text("strip-when", `Next attempt in ${
                Math.ceil(left / 1000)} s.`);
        };
        this.#countdown = setInterval(update, 250);
        update();
    }

    // -- conversations --

    #update_list() {
        if (!this.#chat.shown && this.#chat.rooms.length > 0) {
            const id = sessionStorage.getItem(shown_key);
            this.#show(this.#chat.conversations.get(id)
                       ?? this.#chat.rooms[0]);
            this.#focus_text();
        }
        this.#sidebar.update();
        this.#show_title();
    }

    // By a click or a key.
    #choose(conversation) {
        this.#show(conversation);
        drawer.toggle(false);
        this.#focus_text();
    }

    // The keyboard of a phone would cover the messages.
    #focus_text() {
        element(drawer.is_narrow ? "title" : "text").focus();
    }

    #show(conversation) {
        const before = this.#chat.shown;
        const visible = document.visibilityState === "visible";
        if (conversation === before) {
            this.#chat.show(conversation, visible);
            return;
        }
        this.#drafts.set(before, element("text").value);
        this.#chat.show(conversation, visible);
        sessionStorage.setItem(shown_key, conversation.id);
        this.#view.show(conversation);
        this.#show_title();
        this.#show_empty();
        element("text").value = this.#drafts.get(conversation) ?? "";
        this.#show_composer();
    }

    #show_title() {
        const { shown, unread, online, state } = this.#chat;
        if (!shown) {
            return;
        }
        const { kind, title, topic, is_private } = shown;
        const is_room = kind === "room";
        const sign = is_room ? "#" : "";
        const topic_text = is_room ? topic : state !== "open" ? ""
            : online.has(title) ? "Online" : "Offline";
        element("title-sign").hidden = !is_room;
        element("title-sign").dataset.private = is_private === true;
        set_text("title-text", title);
        set_text("topic", topic_text);
        element("topic").dataset.online = !is_room && online.has(title);
        element("text").placeholder = `Message ${sign}${title}`;
        set_text("text-label", `Message to ${title}`);
        const others = unread - shown.unread;
        element("menu-count").hidden = others === 0;
        set_text("menu-count", String(others));
        document.title = (unread > 0 ? `(${unread}) ` : "")
            + `${sign}${title} · Team chat`;
    }

    #show_empty() {
        const { shown, state } = this.#chat;
        element("empty").hidden = shown !== undefined
            && shown.messages.length > 0;
        const [title, text] = !shown || (state !== "open"
                                         && shown.messages.length === 0)
            ? ["Connecting …", "Messages come in a moment."]
            : shown.kind === "room"
                ? [`This is #${shown.title}`,
                   "Nobody has written here yet. Say hello!"]
                : [`You and ${shown.title}`,
                   "Only the two of you can read this conversation."];
        set_text("empty-title", title);
        set_text("empty-text", text);
    }

    // -- keys and the composer --

    #on_key(event) {
        const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (step && event.altKey && !event.ctrlKey && !event.metaKey) {
            const { order } = this.#sidebar;
            const index = order.indexOf(this.#chat.shown);
            event.preventDefault();
            this.#choose(order[(index + step + order.length) % order.length]);
        } else if (event.target === element("text") && event.key === "Enter"
                   && !event.shiftKey && !event.isComposing) {
            event.preventDefault();
            this.#send();
        }
    }

    #show_composer() {
        element("send").disabled = element("text").value.trim() === "";
    }

    #send() {
        const text = element("text").value.trim();
        if (text !== "" && this.#chat.shown) {
            this.#chat.send(this.#chat.shown, text);
            element("text").value = "";
            this.#show_composer();
            this.#view.show_end();
            element("text").focus();
        }
    }
}

function start_page(api, user) {
    element("log-in").hidden = true;
    element("app").hidden = false;
    new Page(api, user); // its listeners keep it
}

function begin() {
    const saved = sessionStorage.getItem(session_key);
    if (saved) {
        const { session, user } = JSON.parse(saved);
        start_page(new Api("api", session), user);
    } else {
        show_log_in();
    }
}

begin();
