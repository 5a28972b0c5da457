// What the page of websocket_status is drawn with: words for numbers, rows,
// bars, and curves. Names of resources are of the clients' choice: nothing but
// textContent is made of them.
"use strict";

const period_ms = 1000; // between two samples
const shown_ms = 120_000;
const svg_names = "http://www.w3.org/2000/svg";

const find = (name) => document.getElementById(name);
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/*
 * Words
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

// In its two largest units.
function duration(seconds) {
    const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = units.findIndex(([, size]) => seconds >= size || size === 1);
    const [[unit, size], next] = units.slice(first, first + 2);
    const most = `${Math.floor(seconds / size)} ${unit}`;
    return next === undefined ? most
        : `${most} ${Math.floor(seconds % size / next[1])} ${next[0]}`;
}

const clock = (time) => new Date(time).toLocaleTimeString();

/*
 * Elements: those that are there are used again, so that what a person has
 * marked or scrolled to stays.
 */

function made(tag, style = "", words = "") {
    const element = document.createElement(tag);
    element.className = style;
    element.textContent = words;
    return element;
}

function say(element, words) {
    if (element.textContent !== String(words)) {
        element.textContent = words;
    }
}

function fill(parent, items, make, update) {
    while (parent.children.length > items.length) {
        parent.lastElementChild.remove();
    }
    items.forEach((item, i) => {
        if (!parent.children[i]) {
            parent.append(make());
        }
        update(parent.children[i], item);
    });
}

// Each cell is its words, or [words, class].
function fill_table(parent, rows) {
    fill(parent, rows, () => made("tr"), (row, cells) =>
        fill(row, cells, () => made("td"), (cell, content) => {
            const [words, style] = [content].flat();
            say(cell, words);
            cell.className = style ?? "";
            cell.title = style === "text key" ? words : "";
        }));
}

// Each fact is a name, a number, and the class it has unless it is 0.
function fill_facts(parent, facts) {
    fill(parent, facts, () => {
        const fact = made("div");
        fact.append(made("dt"), made("dd"));
        return fact;
    }, (fact, [name, number, style]) => {
        fact.className = number ? style ?? "" : "";
        say(fact.children[0], name);
        say(fact.children[1], count(number));
    });
}

function fill_bars(parent, entries) {
    const most = Math.max(1, ...entries.map((entry) => entry.count));
    fill(parent, entries, () => {
        const row = made("li");
        const bar = made("div", "bar");
        bar.append(made("span"));
        bar.ariaHidden = "true";
        row.append(made("span", "code"), made("span", "words"),
            made("span", "count"), bar);
        return row;
    }, (row, entry) => {
        const [code, words, number, bar] = row.children;
        row.className = entry.fine ? "" : "bad";
        say(code, entry.code);
        say(words, entry.words ?? "");
        say(number, count(entry.count));
        bar.firstChild.style.width = `${100 * entry.count / most}%`;
    });
}

/*
 * Charts: curves of the last minutes in an SVG that takes any width.
 */

// The smallest of 1, 2, 5, 10, 20, ... that a value fits under.
function round_top(value) {
    const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
    return [1, 2, 5, 10].find((digit) => digit * power >= value) * power;
}

function drawn(tag, style, attributes = {}) {
    const element = document.createElementNS(svg_names, tag);
    element.setAttribute("class", style);
    Object.entries(attributes).forEach(([name, value]) =>
        element.setAttribute(name, value));
    return element;
}

class chart {
    // Lines are [name, class, (sample) => value or null].
    constructor(place, title, lines, format) {
        Object.assign(this, { title, lines, format, samples: [] });
        this.legend = made("div", "legend");
        this.names = lines.map(([, style]) => made("span", style));
        this.when = made("span", "when");
        this.legend.append(...this.names, this.when);
        this.plot = made("div", "plot");
        this.top = made("span", "top");
        this.middle = made("span", "middle");
        this.make_picture();
        this.plot.append(this.picture, this.top, this.middle);
        const axis = made("div", "axis");
        axis.ariaHidden = "true";
        axis.append(made("span", "", `${shown_ms / 60_000} min ago`),
            made("span", "", "now"));
        place.append(this.legend, this.plot, axis);
    }

    make_picture() {
        this.picture = drawn("svg", "", { viewBox: "0 0 100 100",
            preserveAspectRatio: "none", role: "img" });
        for (const y of [1, 50, 99]) {
            this.picture.append(drawn("line", "grid",
                { x1: 0, x2: 100, y1: y, y2: y }));
        }
        this.cursor = drawn("line", "cursor", { y1: 0, y2: 100 });
        this.paths = this.lines.map(([, style]) => [
            drawn("path", `area ${style}`), drawn("path", `curve ${style}`)]);
        this.picture.append(this.cursor, ...this.paths.flat());
        this.plot.addEventListener("pointermove", (event) => {
            const box = this.plot.getBoundingClientRect();
            this.pointed = (event.clientX - box.left) / box.width;
            this.tell();
        });
        this.plot.addEventListener("pointerleave", () => {
            this.pointed = undefined;
            this.tell();
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
        say(this.top, this.format(this.scale));
        say(this.middle, this.format(this.scale / 2));
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
        this.tell();
    }

    // Where nothing is known the curve is broken.
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

    // The values now, or where the pointer is.
    tell() {
        const last = this.samples.at(-1);
        if (!last) {
            return;
        }
        const wanted = this.now - (1 - (this.pointed ?? 1)) * shown_ms;
        const sample = this.pointed === undefined ? last
            : this.samples.reduce((best, each) => Math.abs(each.time - wanted)
                < Math.abs(best.time - wanted) ? each : best);
        this.lines.forEach(([name, , value], i) =>
            say(this.names[i], `${name} ${this.format(value(sample))}`));
        const x = this.pointed === undefined ? -9 : this.x(sample);
        this.cursor.setAttribute("x1", x);
        this.cursor.setAttribute("x2", x);
        say(this.when, this.pointed === undefined ? "" : clock(sample.time));
        this.picture.setAttribute("aria-label", `${this.title} in the last ${
            shown_ms / 60_000} minutes: ${this.lines.map(([name, , value]) => {
            const all = this.samples.map(value).filter((one) => one !== null);
            return `${name} from ${this.format(Math.min(...all, Infinity))} to ${
                this.format(Math.max(...all, 0))}, now ${
                this.format(value(last))}`;
        }).join("; ")}`);
    }
}
