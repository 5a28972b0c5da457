// The load page: samples of the feed as numbers and charts.

import { chart, round_top } from "./chart.js";
import { load_feed } from "./feed.js";

const kept_ms = 66_000; // a minute, and what a line needs to enter from
const max_core_lines = 8;
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

const element = (id) => document.getElementById(id);
const set_text = (id, text) => { element(id).textContent = text; };

const address = new URL("../load", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
address.search = "";
address.hash = "";

const samples = []; // oldest first
const counts = { received: 0, skipped: 0 };
let settings = { interval: 1000 };
let clock_ahead; // of the server, milliseconds before performance.now()

// -- words --

function scaled(value, base, units) {
    let unit = 0;
    while (value >= base && unit < units.length - 1) {
        value /= base;
        unit++;
    }
    const digits = unit > 0 && value < 100 ? 1 : 0;
    return `${value.toFixed(digits)} ${units[unit]}`;
}

const bytes = (value) => scaled(value, 1024,
    ["B", "KiB", "MiB", "GiB", "TiB"]);
const rate = (value) => scaled(value, 1000,
    ["B/s", "kB/s", "MB/s", "GB/s"]);
const share = (value) => `${value.toFixed(value < 9.95 ? 1 : 0)} %`;
const plain = (value) => String(Math.round(value * 100) / 100);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// -- charts --

const line = (colour) => ({ colour, width: 2, fill: true });
const highest = (shown, of, least) =>
    round_top(Math.max(least, ...shown.map(of)));

const charts = {
    cpu: new chart(element("cpu-chart"), {
        lines: ({ cpu }) => cpu.cores.length > max_core_lines ? [cpu.all]
            : [cpu.all, ...cpu.cores],
        styles: [{ colour: "--accent", width: 2.5, fill: true },
                 { colour: "--cool", width: 1, alpha: 0.55 }],
        top: () => 100,
        label: share,
    }),
    memory: new chart(element("memory-chart"), {
        lines: ({ memory }) => [memory.used],
        styles: [line("--accent")],
        top: (shown) => shown.at(-1)?.memory.total ?? 1,
        label: bytes,
    }),
    network: new chart(element("network-chart"), {
        lines: ({ network }) => [network.in, network.out],
        styles: [line("--cool"), line("--violet")],
        top: (shown) => highest(shown, ({ network }) =>
            Math.max(network.in, network.out), 1000),
        label: rate,
    }),
    load: new chart(element("load-chart"), {
        lines: ({ load }) => load,
        styles: [line("--accent"), { colour: "--cool", width: 1.5 },
                 { colour: "--violet", width: 1.5 }],
        top: (shown) => highest(shown, ({ load }) => Math.max(...load), 1),
        label: plain,
    }),
    processes: new chart(element("processes-chart"), {
        lines: ({ processes }) => [processes.running],
        styles: [line("--accent")],
        top: (shown) => highest(shown, ({ processes }) => processes.running,
                                5),
        label: (value) => `${plain(value)} running`,
    }),
};

let drawn_edge;
let due = true;

// The charts end an interval ago, so that each new sample is there before its
// place scrolls into view; they stop where the samples do.
function edge() {
    const last = samples.at(-1).time;
    const lag = settings.interval + 100;
    return still.matches ? last
        : Math.min(last, performance.now() + clock_ahead - lag);
}

function draw() {
    requestAnimationFrame(draw);
    const now = samples.length > 0 ? edge() : 0;
    const grain = charts.cpu.grain;
    const moved = Math.floor(now / grain) !== Math.floor(drawn_edge / grain);
    const all = Object.values(charts);
    if (!due && !moved && !all.some((each) => each.stale)) {
        return;
    }
    drawn_edge = now;
    due = false;
    for (const each of all) {
        due = !each.draw(samples, now, still.matches) || due;
        const scale = each.canvas.nextElementSibling;
        if (scale.textContent !== each.end_label) {
            scale.textContent = each.end_label;
        }
    }
}

// -- samples --

function keep(sample) {
    if (sample.time <= (samples.at(-1)?.time ?? 0)) {
        return;
    }
    samples.push(sample);
    while (samples[0].time < sample.time - kept_ms) {
        samples.shift();
    }
    due = true;
}

function take_sample(sample) {
    // The least delay seen counts; a slow drift of the clocks is followed.
    const ahead = sample.time - performance.now();
    clock_ahead = Math.max(ahead, (clock_ahead ?? ahead) - 1);
    keep(sample);
    counts.received++;
    counts.skipped += sample.skipped;
    element("notice").hidden = true;
    show_numbers(sample);
}

function show_numbers({ cpu, memory, swap, load, network, processes }) {
    set_text("cpu", share(cpu.all));
    const lines = cpu.cores.length > max_core_lines ? "" : ", thin lines";
    set_text("cpu-more", plural(cpu.cores.length, "core") + lines);
    set_text("memory", bytes(memory.used));
    set_text("memory-more", `of ${bytes(memory.total)}, `
        + `${share(memory.used / memory.total * 100)}`
        + (swap.total > 0 ? `; swap ${bytes(swap.used)}` : ""));
    set_text("network-in", rate(network.in));
    set_text("network-out", rate(network.out));
    set_text("load", load[0].toFixed(2));
    set_text("load-5", load[1].toFixed(2));
    set_text("load-15", load[2].toFixed(2));
    set_text("processes", processes.all);
    set_text("processes-more", `${plural(processes.threads, "thread")}, `
        + `${processes.running} running`);
    set_text("received", counts.received);
    set_text("skipped", counts.skipped);
    show_cores(cpu.cores);
    describe();
}

function show_cores(cores) {
    const list = element("cores");
    while (list.childElementCount > cores.length) {
        list.lastElementChild.remove();
    }
    while (list.childElementCount < cores.length) {
        const row = element("core").content.cloneNode(true);
        row.querySelector(".name").textContent =
            `Core ${list.childElementCount}`;
        list.append(row);
    }
    cores.forEach((value, i) => {
        const row = list.children[i];
        row.querySelector(".bar span").style.transform =
            `scaleX(${value / 100})`;
        row.lastElementChild.textContent = share(value);
    });
}

// A text alternative to the charts.
function describe() {
    const lines = {
        cpu: ["Processor", ({ cpu }) => cpu.all, share],
        memory: ["Memory", ({ memory }) => memory.used, bytes],
        network: ["Network, received", ({ network }) => network.in, rate],
        load: ["Load average", ({ load }) => load[0], plain],
        processes: ["Running threads", ({ processes }) => processes.running,
                    plain],
    };
    for (const [name, [title, of, format]] of Object.entries(lines)) {
        const values = samples.map(of);
        charts[name].canvas.ariaLabel = `${title} in the last minute: `
            + `from ${format(Math.min(...values))} `
            + `to ${format(Math.max(...values))}, now ${format(values.at(-1))}`;
    }
}

// -- connection --

const state_labels = { connecting: "connecting", open: "live",
                       paused: "paused", waiting: "offline" };
let retry_at = 0;
let countdown;

function show_state(state, wait) {
    document.body.dataset.state = state === "waiting" ? "closed" : state;
    document.body.dataset.tone = state === "waiting" ? "bad" : "calm";
    if (element("state").textContent !== state_labels[state]) {
        set_text("state", state_labels[state]);
        set_text("announcer", `The feed is ${state_labels[state]}.`);
    }
    set_text("pause", feed.paused ? "Resume" : "Pause");
    element("pause").classList.toggle("primary", feed.paused);
    clearInterval(countdown);
    show_notice(state === "waiting" ? "Lost the server." : "");
    if (state === "waiting") {
        retry_at = performance.now() + wait;
        countdown = setInterval(show_countdown, 250);
        show_countdown();
    }
}

function show_countdown() {
    const left = Math.max(0, Math.ceil((retry_at - performance.now()) / 1000));
    show_notice(`Lost the server. Trying again in ${left} s.`);
}

function show_notice(text) {
    element("notice").hidden = text === "";
    element("retry").hidden = feed.connected;
    set_text("notice-text", text);
}

function show_settings(received) {
    settings = received;
    for (const choice of element("controls").elements.interval) {
        choice.checked = Number(choice.value) === received.interval;
    }
}

const feed = new load_feed(address, {
    state: show_state,
    message(message) {
        switch (message.type) {
        case "settings": show_settings(message); break;
        case "history": message.samples.forEach(keep); break;
        case "sample": take_sample(message); break;
        case "error": show_notice(message.message); break;
        }
    },
});

element("controls").addEventListener("submit", (event) =>
    event.preventDefault());
element("controls").addEventListener("change", (event) =>
    feed.choose_interval(Number(event.target.value)));
element("pause").addEventListener("click", () => feed.pause(!feed.paused));
element("retry").addEventListener("click", () => feed.connect());
addEventListener("online", () => {
    if (!feed.connected) {
        feed.connect();
    }
});
// A page that the browser keeps for its back button does not watch.
addEventListener("pagehide", () => feed.leave());
addEventListener("pageshow", (event) => {
    if (event.persisted) {
        feed.connect();
    }
});
dark.addEventListener("change", () => {
    Object.values(charts).forEach((each) => each.resize());
});

set_text("address", address.href);
feed.connect();
draw();
