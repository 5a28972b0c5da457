// The messages of the conversation that is shown. Texts become textContent,
// never markup.

import { make } from "../elements.js";
import { avatar } from "./avatar.js";
import { place } from "./rows.js";

const element = (id) => document.getElementById(id);
const group_time = 5 * 60_000; // ms: later messages have their own head
const near_end = 80; // px
const patience = 600; // ms: a message that takes longer says that it is sent

const clock = new Intl.DateTimeFormat(undefined,
                                      { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, {
    weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full",
                                                  timeStyle: "medium" });

function day_of(time) {
    return new Date(time).toDateString();
}

function day_name(time) {
    const now = new Date();
    const yesterday = new Date(now.getFullYear(), now.getMonth(),
                               now.getDate() - 1);
    return day_of(time) === day_of(now) ? "Today"
        : day_of(time) === day_of(yesterday) ? "Yesterday"
        : calendar.format(time);
}

// A text whose addresses are links.
function with_links(text) {
    return text.split(/(\bhttps?:\/\/[^\s<>"]*[^\s<>".,:;!?)\]}'])/).map(
        (part, index) => index % 2 === 0 || !URL.canParse(part) ? part
            : make("a", { href: part, textContent: part, target: "_blank",
                          rel: "noopener noreferrer" }));
}

// The hour and the minute, with "PM" if that is usual and there is room for it.
function time_element(time, className, is_short = false) {
    const parts = clock.formatToParts(time).filter(({ type }) =>
        !is_short || ["hour", "minute"].includes(type));
    const text = parts.map(({ value }) => value).join(is_short ? ":" : "");
    return make("time", { className, dateTime: new Date(time).toISOString(),
                          title: full.format(time), textContent: text });
}

// A message, with what may stand above it: a day, or the line of new messages.
class Row {
    constructor(message, again) {
        const { user, time, text, own, kind } = message;
        const name = user ?? "Server";
        this.message = message;
        this.day = make("p", { className: "day", textContent: day_name(time) });
        this.fresh = make("p", { className: "fresh", textContent: "New" });
        this.body = kind === "gap"
            ? make("p", { className: "gap",
                          textContent: "Messages may be missing here." })
            : this.#message_body(name, time, text);
        this.status = make("p", { className: "status" });
        this.element = make("li", { className: "message" }, this.day,
                            this.fresh, this.body, this.status);
        this.element.dataset.own = own === true;
        this.again = make("button", { type: "button", className: "again",
                                      textContent: "Try again" });
        this.again.addEventListener("click", () => again(message));
    }

    #message_body(name, time, text) {
        return make("div", { className: "body" },
            avatar(name),
            make("p", { className: "head" },
                make("strong", { className: "name", dir: "auto",
                                 textContent: name }), " ",
                time_element(time, "time")),
            time_element(time, "aside", true),
            make("p", { className: "text", dir: "auto" }, ...with_links(text)));
    }

    // `previous`: the message above, or undefined.
    update(previous, first_unread) {
        const { message } = this;
        const { state, error } = message;
        const follows = previous !== undefined
            && day_of(previous.time) === day_of(message.time);
        const is_first = message === first_unread;
        this.day.hidden = follows;
        this.fresh.hidden = !is_first;
        this.element.dataset.grouped = follows && !is_first
            && previous.user === message.user && previous.kind === message.kind
            && message.time - previous.time < group_time;
        if (this.element.dataset.state !== state || this.error !== error) {
            this.element.dataset.state = state;
            this.error = error;
            clearTimeout(this.timer);
            this.status.replaceChildren(...(state === "failed"
                ? [make("span", { textContent: `Not sent: ${error}` }),
                   this.again] : []));
            if (state === "sending") {
                this.timer = setTimeout(() =>
                    this.status.replaceChildren("Sending …"), patience);
            }
        }
    }
}

export class ConversationView {
    #log = element("log");
    #rows = new Map(); // by message
    #shown;
    #again;

    // `again` is called with a message that is to be sent again.
    constructor(again) {
        this.#again = again;
        element("latest").onclick = () => {
            this.show_end();
            element("text").focus();
        };
        this.#log.onscroll = () => this.#show_latest();
    }

    show(conversation) {
        this.#log.setAttribute("aria-busy", "true"); // read out new ones alone
        this.#shown = conversation;
        this.#rows.clear();
        this.update();
        this.show_end();
        setTimeout(() => this.#log.removeAttribute("aria-busy"));
    }

    update() {
        const { messages, first_unread } = this.#shown;
        const rows = messages.map((message) => this.#row(message));
        rows.forEach((row, index) =>
            row.update(messages[index - 1], first_unread));
        const kept = new Set(messages);
        for (const message of this.#rows.keys()) {
            if (!kept.has(message)) {
                this.#rows.delete(message);
            }
        }
        place(element("lines"), rows.map((row) => row.element));
        this.#show_latest();
    }

    // The column is reversed: see team.css.
    show_end() {
        this.#log.scrollTop = 0;
        this.#show_latest();
    }

    #row(message) {
        if (!this.#rows.has(message)) {
            this.#rows.set(message, new Row(message, this.#again));
        }
        return this.#rows.get(message);
    }

    #show_latest() {
        element("latest").hidden = this.#log.scrollTop > -near_end;
    }
}
