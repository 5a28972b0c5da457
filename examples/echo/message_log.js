// The list of messages sent and received, and of events of the connection. All
// texts become textContent, never markup.

const max_rows = 200;
const max_text = 200;
const max_bytes = 12;

const units = ["B", "KB", "MB", "GB"];
const grouped = new Intl.NumberFormat("en");

export function format_number(value) {
    return grouped.format(value);
}

export function format_size(bytes) {
    let unit = 0;
    let size = bytes;
    while (size >= 1024 && unit < units.length - 1) {
        size /= 1024;
        unit++;
    }
    const digits = unit > 0 && size < 10 && size % 1 !== 0 ? 1 : 0;
    return `${size.toFixed(digits)} ${units[unit]}`;
}

export function format_ms(ms) {
    return ms < 10 ? `${ms.toFixed(1)} ms` : `${grouped.format(
        Math.round(ms))} ms`;
}

export function preview_text(text) {
    if (text.length <= max_text) {
        return text;
    }
    // A cut between two surrogates would show half a character.
    return `${text.slice(0, max_text).replace(/[\ud800-\udbff]$/, "")} …`;
}

export function preview_hex(bytes) {
    const shown = bytes.subarray(0, max_bytes);
    const hex = Array.from(shown, (b) => b.toString(16).padStart(2, "0"));
    return hex.join(" ") + (bytes.length > max_bytes ? " …" : "");
}

function preview_ascii(bytes) {
    return Array.from(bytes.subarray(0, max_bytes), (b) =>
        b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : "·").join("");
}

function clock() {
    const now = new Date();
    const two = (value) => String(value).padStart(2, "0");
    return `${two(now.getHours())}:${two(now.getMinutes())}:`
        + `${two(now.getSeconds())}.`
        + String(now.getMilliseconds()).padStart(3, "0");
}

function cell(name, text, tag = "span") {
    const element = document.createElement(tag);
    element.className = name;
    element.textContent = text;
    return element;
}

const marks = { out: ["↑", "sent"], in: ["↓", "received"], note: ["·", ""] };

function begin_row(entry) {
    const row = document.createElement("li");
    row.dataset.direction = entry.direction;
    const [mark, label] = marks[entry.direction];
    const arrow = cell("mark", mark);
    arrow.setAttribute("aria-hidden", "true");
    row.append(cell("time", entry.time, "time"), arrow, cell("hidden", label));
    return row;
}

function note_row(entry) {
    const row = begin_row(entry);
    row.dataset.tone = entry.tone;
    row.append(cell("content", entry.text));
    return row;
}

function message_row(entry) {
    const { data, bytes } = entry;
    const binary = typeof data !== "string";
    const row = begin_row(entry);
    row.dataset.kind = binary ? "binary" : "text";
    row.dataset.bytes = bytes;
    row.dataset.same = entry.same ?? "";
    const content = cell("content", "");
    content.dir = binary ? "ltr" : "auto";
    if (bytes === 0) {
        content.append(cell("quiet", "(empty)"));
    } else if (binary) {
        content.append(cell("hex", preview_hex(data)), " ",
                       cell("ascii", preview_ascii(data)));
    } else {
        content.textContent = preview_text(data);
    }
    const size = cell("size", format_size(bytes));
    size.title = `${grouped.format(bytes)} bytes`;
    row.append(cell("kind", binary ? "bin" : "text"), content, size,
               cell("extra", entry.extra ?? ""));
    return row;
}

export class message_log {
    constructor(list, placeholder) {
        this.list = list;
        this.placeholder = placeholder;
        this.pending = [];
        // New rows are followed until the reader scrolls up, and again once
        // back at the end. A resize alone never moves the top upwards.
        this.follows = true;
        this.top = 0;
        list.addEventListener("scroll", () => {
            const below = list.scrollHeight - list.scrollTop;
            const at_end = below - list.clientHeight < 40;
            this.follows = at_end
                || (this.follows && list.scrollTop >= this.top);
            this.top = list.scrollTop;
        }, { passive: true });
        new ResizeObserver(() => this.follow()).observe(list);
    }

    // `data` is a string, or a Uint8Array for a binary message; `same` is true
    // if an echo equals the sent message.
    add(entry) {
        if (this.pending.length === 0) {
            requestAnimationFrame(() => this.render());
        }
        entry.time = clock();
        this.pending.push(entry);
        // A page in the background draws no frames: keep this bounded too.
        if (this.pending.length > max_rows) {
            this.pending.shift();
        }
    }

    note(text, tone = "plain") {
        this.add({ direction: "note", text, tone });
    }

    clear() {
        this.pending.length = 0;
        this.list.replaceChildren();
        this.placeholder.hidden = false;
        this.follows = true;
    }

    // Once a frame: a layout per message would distort the round trips.
    render() {
        const rows = this.pending.map((entry) =>
            entry.direction === "note" ? note_row(entry) : message_row(entry));
        this.pending.length = 0;
        this.placeholder.hidden ||= rows.length > 0;
        this.list.append(...rows);
        while (this.list.childElementCount > max_rows) {
            this.list.firstElementChild.remove();
        }
        this.follow();
    }

    follow() {
        if (this.follows) {
            this.list.scrollTop = this.list.scrollHeight;
            this.top = this.list.scrollTop;
        }
    }
}
