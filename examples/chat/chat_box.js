// <chat-box>: a chat room for any page. Texts of people become textContent,
// never markup.

import { describe_close } from "../close_codes.js";
import { make } from "../elements.js";
import { chat_client } from "./chat_client.js";
import { clean_name, keep_name, random_name, max_name } from "./own_name.js";

const max_rows = 300;
const max_shown = 4000; // characters of a message
const max_text = 2000; // characters a person may send at once
const same_breath = 120000; // ms
const colours = 8;

function colour_of(name) {
    let sum = 0;
    for (const character of name) {
        sum = (sum * 31 + character.codePointAt(0)) % 65521;
    }
    return String(sum % colours);
}

function shortened(text) {
    // A cut between two surrogates would show half a character.
    return text.length <= max_shown ? text : `${text.slice(0, max_shown)
        .replace(/[\ud800-\udbff]$/, "")} …`;
}

function clock() {
    const now = new Date();
    const two = (value) => String(value).padStart(2, "0");
    return make("time", { textContent:
        `${two(now.getHours())}:${two(now.getMinutes())}` });
}

class chat_box extends HTMLElement {
    // Joins the room; called again, leaves the one before.
    enter(room, name) {
        this.client ??= this.build();
        this.room = room;
        this.name = name;
        this.title_text.textContent = room;
        this.log.setAttribute("aria-label", `Messages in ${room}`);
        this.message.placeholder = `Write to ${room}`;
        this.show_name();
        this.client.enter(room, name);
    }

    // -- the parts --

    build() {
        this.classList.add("card", "chat");
        this.rows = make("ol");
        this.log = make("div", { className: "chat-log", tabIndex: 0,
            attributes: { role: "log" } }, this.rows);
        this.append(this.build_head(), this.build_closed(), this.log,
                    this.build_form());
        return new chat_client({
            connecting: () => this.show_state("connecting"),
            opened: () => this.opened(),
            line: (line) => this.line(line),
            closed: (...all) => this.closed(...all),
        });
    }

    build_head() {
        this.title_text = make("span");
        this.state_text = make("span");
        this.name_button = make("button", { type: "button",
            className: "chat-name", title: "Change your name" });
        this.name_button.addEventListener("click", () => this.edit_name());
        this.name_input = make("input", { required: true,
            maxLength: max_name, autocomplete: "nickname",
            attributes: { "aria-label": "Your name" } });
        this.name_form = make("form", { hidden: true,
            className: "chat-name-form" }, this.name_input,
            make("button", { textContent: "Save" }));
        this.name_form.addEventListener("submit", (event) => {
            event.preventDefault();
            this.change_name();
        });
        this.name_form.addEventListener("keydown", (event) => {
            if (event.key === "Escape") {
                this.end_edit();
            }
        });
        return make("div", { className: "chat-head" },
            make("h2", {}, make("span", { className: "hidden",
                textContent: "Room " }), this.title_text),
            this.name_button, this.name_form,
            make("p", { className: "badge" },
                make("span", { className: "dot",
                    attributes: { "aria-hidden": "true" } }),
                make("span", { className: "hidden",
                    textContent: "Connection: " }),
                this.state_text));
    }

    build_closed() {
        this.closed_code = make("strong");
        this.closed_reason = make("span");
        this.closed_retry = make("span", { className: "quiet" });
        const now = make("button", { type: "button",
            textContent: "Try now" });
        now.addEventListener("click", () => this.client.retry());
        this.closed_strip = make("div", { className: "chat-closed",
            hidden: true }, make("p", {}, this.closed_code, " ",
            this.closed_reason, " ", this.closed_retry), now);
        return this.closed_strip;
    }

    build_form() {
        this.message = make("textarea", { rows: 1, maxLength: max_text,
            autocomplete: "off", attributes: { "aria-label": "Message",
                enterkeyhint: "send" } });
        this.send_button = make("button", { textContent: "Send",
            className: "primary", disabled: true });
        const form = make("form", { className: "chat-form" }, this.message,
            this.send_button, this.build_foot());
        form.addEventListener("submit", (event) => this.submit(event));
        this.message.addEventListener("keydown", (event) => {
            // While an input method composes, Enter belongs to it.
            if (event.key === "Enter" && !event.shiftKey
                && !event.isComposing) {
                this.submit(event);
            }
        });
        return form;
    }

    build_foot() {
        const link = make("a", { textContent: "Open a second window",
            target: "_blank", rel: "noopener" });
        // The second window gets another name each time.
        const aim = () => {
            const page = new URL(".", import.meta.url);
            page.searchParams.set("room", this.room ?? "");
            page.searchParams.set("name", random_name());
            link.href = page;
        };
        link.href = new URL(".", import.meta.url);
        link.addEventListener("pointerdown", aim);
        link.addEventListener("focus", aim);
        return make("p", { className: "quiet chat-foot" }, "Alone? ", link,
            " and talk to yourself.");
    }

    // -- the connection --

    show_state(state, label = state) {
        this.dataset.state = state;
        this.state_text.textContent = label;
        this.send_button.disabled = state !== "open";
        if (state === "connecting") {
            clearInterval(this.countdown);
            this.closed_retry.textContent = "Trying …";
        }
    }

    opened() {
        this.show_state("open");
        const had_focus = this.closed_strip.contains(document.activeElement);
        this.closed_strip.hidden = true;
        // A hidden button loses the focus: move it. On a phone the focus would
        // cover half the page with a keyboard.
        if (had_focus || (document.activeElement === document.body
                          && !matchMedia("(pointer: coarse)").matches)) {
            this.message.focus({ preventScroll: true });
        }
    }

    closed(event, opened, delay, lost) {
        const { name, meaning } = describe_close(event, { opened });
        this.dataset.tone = event.code === 1000 ? "calm" : "bad";
        this.show_state("closed", "offline");
        this.closed_code.textContent = `${event.code} ${name}.`;
        this.closed_reason.textContent = event.reason || meaning;
        this.closed_strip.hidden = false;
        this.count_down(performance.now() + delay);
        if (opened) {
            this.note(`Connection closed: ${event.code} ${name}.`, "bad");
        }
        for (const text of lost) {
            this.note(`Not delivered: ${shortened(text)}`, "bad");
        }
    }

    count_down(until) {
        const update = () => {
            const left = Math.max(0, until - performance.now());
            this.closed_retry.textContent =
                `Trying again in ${Math.ceil(left / 1000)} s.`;
        };
        clearInterval(this.countdown);
        this.countdown = setInterval(update, 250);
        update();
    }

    // -- messages --

    line(line) {
        const { kind, own, text } = line;
        if (kind === "says") {
            this.add_message(line);
        } else if (kind === "line") {
            this.note(shortened(text));
        } else if (own) {
            this.note(`You joined ${this.room} as ${line.name}.`, "good");
        } else {
            this.note(`${shortened(line.name)} ${kind}`);
        }
    }

    add_message({ name, text, own }) {
        const now = performance.now();
        const last = this.last_message;
        const goes_on = last?.row === this.rows.lastElementChild
            && last.name === name && last.own === own
            && now - last.at < same_breath;
        const body = make("p", { className: "chat-text",
            textContent: shortened(text), dir: "auto" });
        const who = make("span", { className: "chat-who", dir: "auto",
            textContent: own ? "You" : shortened(name) });
        const row = make("li", { className: "chat-message" },
            make("span", { className: "chat-face", textContent:
                Array.from(name.trim())[0]?.toUpperCase() ?? "?",
                attributes: { "aria-hidden": "true" } }),
            make("p", { className: "chat-by" }, who, " ", clock()), body);
        Object.assign(row.dataset, { kind: own ? "own" : "other", name,
            colour: colour_of(name), goesOn: goes_on });
        this.last_message = { row, name, own, at: now };
        this.add_row(row);
        if (own) {
            this.log.scrollTop = 0; // the end: see chat.css
        }
    }

    note(text, tone = "plain") {
        const row = make("li", { className: "chat-note" },
            make("span", { textContent: text, dir: "auto" }), " ", clock());
        Object.assign(row.dataset, { kind: "note", tone });
        this.add_row(row);
    }

    add_row(row) {
        this.rows.append(row);
        while (this.rows.childElementCount > max_rows) {
            this.rows.firstElementChild.remove();
        }
    }

    // -- input --

    submit(event) {
        event.preventDefault();
        if (this.message.value.trim() !== ""
            && this.client.send(this.message.value)) {
            this.message.value = "";
        }
        this.message.focus();
    }

    show_name() {
        this.name_button.setAttribute("aria-label",
            `You are ${this.name}. Change your name`);
        this.name_button.replaceChildren(
            make("span", { className: "quiet wide-only",
                textContent: "you are" }),
            make("span", { className: "chat-own-name", dir: "auto",
                textContent: this.name }));
    }

    edit_name() {
        this.name_input.value = this.name;
        this.name_form.hidden = false;
        this.name_button.hidden = true;
        this.name_input.select();
        this.name_input.focus();
    }

    end_edit() {
        this.name_form.hidden = true;
        this.name_button.hidden = false;
        this.name_button.focus();
    }

    // The handler reads the name when a client connects, so reconnect.
    change_name() {
        const name = clean_name(this.name_input.value);
        this.end_edit();
        if (name !== "" && name !== this.name) {
            keep_name(name);
            this.enter(this.room, name);
            this.message.focus({ preventScroll: true });
        }
    }
}

customElements.define("chat-box", chat_box);
