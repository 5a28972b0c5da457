// Formats numbers, and draws tables, bars and curves for the page of
// websocket_status. Clients choose the names of resources, so these are only
// assigned to textContent.
"use strict";

const period_ms = 1000; // between two samples
const shown_ms = 120_000;
const svg_names = "http://www.w3.org/2000/svg";

const find = (name) => document.getElementById(name);
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/*
 * Formats
 */

const count = (number) => whole.format(number);

function rate(number) {
    return number === null ? "–"
        : (number < 100 ? short : whole).format(
            number < 100 ? number : Math.round(number));
}

function bytes(number) {
    if (number === null) {
        return "–";
    }
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    const power = Math.min(units.length - 1,
        Math.floor(Math.log2(Math.max(number, 1)) / 10));
    return `${short.format(number / 1024 ** power)} ${units[power]}`;
}

// Formats the two largest units.
function duration(seconds) {
    const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = units.findIndex(([, size]) => seconds >= size || size === 1);
    const [[unit, size], next] = units.slice(first, first + 2);
    const largest = `${Math.floor(seconds / size)} ${unit}`;
    return next === undefined ? largest
        : `${largest} ${Math.floor(seconds % size / next[1])} ${next[0]}`;
}

const clock = (time) => new Date(time).toLocaleTimeString();

/*
 * Elements: existing ones are updated, so that selections and scroll positions
 * are kept.
 */

function create_element(tag, style = "", text = "") {
    const element = document.createElement(tag);
    element.className = style;
    element.textContent = text;
    return element;
}

function set_text(element, text) {
    if (element.textContent !== String(text)) {
        element.textContent = text;
    }
}

function fill(parent, items, create, update) {
    while (parent.children.length > items.length) {
        parent.lastElementChild.remove();
    }
    items.forEach((item, i) => {
        if (!parent.children[i]) {
            parent.append(create());
        }
        update(parent.children[i], item);
    });
}

// Each cell is a text, or [text, class].
function fill_table(parent, rows) {
    fill(parent, rows, () => create_element("tr"), (row, cells) =>
        fill(row, cells, () => create_element("td"), (cell, content) => {
            const [text, style] = [content].flat();
            set_text(cell, text);
            cell.className = style ?? "";
            cell.title = style === "text key" ? text : "";
        }));
}

// Each fact is a name, a number, and the class of a number other than 0.
function fill_facts(parent, facts) {
    fill(parent, facts, () => {
        const fact = create_element("div");
        fact.append(create_element("dt"), create_element("dd"));
        return fact;
    }, (fact, [name, number, style]) => {
        fact.className = number ? style ?? "" : "";
        set_text(fact.children[0], name);
        set_text(fact.children[1], count(number));
    });
}

function fill_bars(parent, entries) {
    const max = Math.max(1, ...entries.map((entry) => entry.count));
    fill(parent, entries, () => {
        const row = create_element("li");
        const bar = create_element("div", "bar");
        bar.append(create_element("span"));
        bar.ariaHidden = "true";
        row.append(create_element("span", "code"),
            create_element("span", "words"), create_element("span", "count"),
            bar);
        return row;
    }, (row, entry) => {
        const [code, text, number, bar] = row.children;
        row.className = entry.normal ? "" : "bad";
        set_text(code, entry.code);
        set_text(text, entry.text ?? "");
        set_text(number, count(entry.count));
        bar.firstChild.style.width = `${100 * entry.count / max}%`;
    });
}

/*
 * Charts: curves of the last minutes in an SVG that takes any width.
 */

// The smallest of 1, 2, 5, 10, 20, ... that is not less than a value.
function round_top(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 5, 10].find((digit) => digit * power >= value) * power;
}

function create_svg(tag, style, attributes = {}) {
    const element = document.createElementNS(svg_names, tag);
    element.setAttribute("class", style);
    Object.entries(attributes).forEach(([name, value]) =>
        element.setAttribute(name, value));
    return element;
}

class chart {
    // Lines are [name, class, (sample) => value or null].
    constructor(parent, title, lines, format) {
        Object.assign(this, { title, lines, format, samples: [] });
        this.legend = create_element("div", "legend");
        this.names = lines.map(([, style]) => create_element("span", style));
        this.when = create_element("span", "when");
        this.legend.append(...this.names, this.when);
        this.plot = create_element("div", "plot");
        this.top = create_element("span", "top");
        this.middle = create_element("span", "middle");
        this.create_picture();
        this.plot.append(this.picture, this.top, this.middle);
        const axis = create_element("div", "axis");
        axis.ariaHidden = "true";
        axis.append(create_element("span", "", `${shown_ms / 60_000} min ago`),
            create_element("span", "", "now"));
        parent.append(this.legend, this.plot, axis);
    }

    create_picture() {
        this.picture = create_svg("svg", "", { viewBox: "0 0 100 100",
            preserveAspectRatio: "none", role: "img" });
        for (const y of [1, 50, 99]) {
            this.picture.append(create_svg("line", "grid",
                { x1: 0, x2: 100, y1: y, y2: y }));
        }
        this.cursor = create_svg("line", "cursor", { y1: 0, y2: 100 });
        this.paths = this.lines.map(([, style]) => [
            create_svg("path", `area ${style}`),
            create_svg("path", `curve ${style}`)]);
        this.picture.append(this.cursor, ...this.paths.flat());
        this.plot.addEventListener("pointermove", (event) => {
            const box = this.plot.getBoundingClientRect();
            this.pointed = (event.clientX - box.left) / box.width;
            this.show_values();
        });
        this.plot.addEventListener("pointerleave", () => {
            this.pointed = undefined;
            this.show_values();
        });
    }

    x(sample) {
        return 100 * (1 - (this.now - sample.time) / shown_ms);
    }

    y(value) {
        return 99 - 98 * value / this.scale;
    }

    draw(samples, now) {
        Object.assign(this, { samples, now });
        const values = samples.flatMap((sample) =>
            this.lines.map(([, , value]) => value(sample) ?? 0));
        this.scale = round_top(Math.max(0, ...values));
        set_text(this.top, this.format(this.scale));
        set_text(this.middle, this.format(this.scale / 2));
        this.lines.forEach(([, , value], i) => {
            const pieces = this.pieces(value);
            const [area, curve] = this.paths[i];
            const line = (piece) => piece.map(([x, y], at) =>
                `${at ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
            curve.setAttribute("d", pieces.map(line).join(""));
            area.setAttribute("d", pieces.map((piece) => `${line(piece)}L${
                piece.at(-1)[0].toFixed(2)} 99L${
                piece[0][0].toFixed(2)} 99Z`).join(""));
        });
        this.show_values();
    }

    // The pieces of a curve, which has gaps where values are missing.
    pieces(value) {
        const pieces = [];
        let before = -Infinity;
        for (const sample of this.samples) {
            const number = value(sample);
            if (number === null) {
                continue;
            }
            if (sample.time - before > 3 * period_ms) {
                pieces.push([]);
            }
            before = sample.time;
            pieces.at(-1).push([this.x(sample), this.y(number)]);
        }
        return pieces;
    }

    // Shows the latest values, or those at the pointer.
    show_values() {
        const last = this.samples.at(-1);
        if (!last) {
            return;
        }
        const time = this.now - (1 - (this.pointed ?? 1)) * shown_ms;
        const sample = this.pointed === undefined ? last
            : this.samples.reduce((best, each) => Math.abs(each.time - time)
                < Math.abs(best.time - time) ? each : best);
        this.lines.forEach(([name, , value], i) =>
            set_text(this.names[i], `${name} ${this.format(value(sample))}`));
        const x = this.pointed === undefined ? -9 : this.x(sample);
        this.cursor.setAttribute("x1", x);
        this.cursor.setAttribute("x2", x);
        set_text(this.when, this.pointed === undefined ? ""
            : clock(sample.time));
        this.picture.setAttribute("aria-label", `${this.title} in the last ${
            shown_ms / 60_000} minutes: ${this.lines.map(([name, , value]) => {
            const all = this.samples.map(value).filter((one) => one !== null);
            return `${name} from ${this.format(Math.min(...all, Infinity))} to ${
                this.format(Math.max(...all, 0))}, now ${
                this.format(value(last))}`;
        }).join("; ")}`);
    }
}
