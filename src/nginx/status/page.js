// The page of websocket_status: requests the statistics once a second and shows
// them, or that they are old.
"use strict";

const timeout_ms = 5000; // of one request
const stale_ms = 3500; // after the last response

const code_names = {
    1000: "normal", 1001: "going away", 1002: "protocol error",
    1003: "unsupported data", 1005: "no status code", 1006: "no Close frame",
    1007: "invalid data", 1008: "policy violation", 1009: "too large",
    1010: "extension missing", 1011: "handler failed", 1012: "restart",
    1013: "try again later", 1014: "bad gateway", other: "all others",
};
const normal_codes = ["1000", "1001", "1005"];
const status_names = {
    101: "accepted", 400: "malformed", 401: "unauthorized",
    403: "forbidden", 405: "method not allowed", 426: "upgrade required",
    429: "too many requests", 500: "handler failed", 503: "unavailable",
    other: "all others",
};

/*
 * Samples. Rates are null in the first one, and after counters were reset.
 */

const samples = [];
let last_report;
let last_answer = -Infinity;

function sample_of(report, before) {
    const { total } = report;
    const seconds = (report.time - (before?.time ?? report.time)) / 1000;
    const since = (name) => {
        const more = total[name] - (before?.total[name] ?? 0);
        return seconds > 0 && more >= 0 ? more / seconds : null;
    };
    return { time: Date.now(), clients: total.clients,
        messages_in: since("messages_in"), messages_out: since("messages_out"),
        bytes_in: since("bytes_in"), bytes_out: since("bytes_out") };
}

function add_report(report) {
    // The clock of another worker may be a little behind: not a sample
    if (last_report && report.time <= last_report.time
        && report.uptime >= last_report.uptime) {
        return;
    }
    samples.push(sample_of(report, last_report));
    while (samples[0].time < Date.now() - shown_ms - 2 * period_ms) {
        samples.shift();
    }
    last_report = report;
    show(report, samples.at(-1));
}

/*
 * Elements
 */

const charts = [
    new chart(find("clients-chart"), "Clients",
        [["connected", "first", (sample) => sample.clients]], rate),
    new chart(find("messages-chart"), "Messages per second",
        [["in", "first", (sample) => sample.messages_in],
            ["out", "second", (sample) => sample.messages_out]], rate),
];

const sum = (counts) =>
    Object.values(counts).reduce((all, each) => all + each, 0);

function cells_of(worker, ...begin) {
    return [...begin, count(worker.clients), count(worker.messages_in),
        count(worker.messages_out), bytes(worker.bytes_in),
        bytes(worker.bytes_out), count(worker.dropped),
        count(worker.slow_closes), count(worker.handshakes.accepted),
        count(sum(worker.handshakes.refused))];
}

function show_tiles({ total }, sample) {
    set_text(find("clients"), count(total.clients));
    set_text(find("rate-in"), rate(sample.messages_in));
    set_text(find("rate-out"), rate(sample.messages_out));
    set_text(find("bytes-in"), bytes(sample.bytes_in));
    set_text(find("bytes-out"), bytes(sample.bytes_out));
    set_text(find("dropped"), count(total.dropped));
    find("trouble-tile").className = total.dropped ? "trouble" : "";
}

function show_workers({ workers, total }) {
    fill_table(find("workers"), workers.map((worker) => cells_of(worker,
        [worker.slot, "text"], worker.pid, [worker.state, worker.state])));
    fill_table(find("total"), [cells_of(total, ["Total", "text"], "", "")]);
}

function entries_of(counts, names, normal) {
    return Object.entries(counts).map(([code, number]) => ({ code,
        text: names[code] ?? (code >= 3000 ? "of the application" : ""),
        count: number, normal: normal(code) }));
}

function show_codes({ total }) {
    const closes = entries_of(total.close_codes, code_names, (code) =>
        normal_codes.includes(code) || code >= 3000);
    closes.sort((a, b) => b.count - a.count);
    fill_bars(find("closes"), closes);
    find("no-closes").hidden = closes.length > 0;
    const { accepted, refused } = total.handshakes;
    fill_bars(find("handshakes"), [
        { code: "101", text: status_names[101], count: accepted,
            normal: true },
        ...entries_of(refused, status_names, () => false)]);
}

function show_zone({ zone, total }) {
    const share = zone.used / zone.size;
    find("fill").style.width = `${100 * share}%`;
    find("fill").className = share > 0.9 ? "high" : "";
    set_text(find("fill-text"), `${bytes(zone.used)} of ${bytes(zone.size)}, ${
        short.format(100 * share)} %`);
    fill_facts(find("zone"), [
        ["Resources", zone.logs], ["Messages kept", zone.entries],
        ["Dropped by room memory", zone.dropped_room_memory, "trouble"],
        ["Dropped unread", zone.dropped_unread, "trouble"],
        ["Dropped history", zone.dropped_history, "trouble"],
        ["Refused", zone.refused, "trouble"],
        ["Losses to clients", total.lost, "trouble"],
        ["Published over HTTP", total.published],
        ["Repairs", zone.repairs, "trouble"]]);
}

function show_redis({ redis }) {
    find("redis-card").hidden = redis === undefined;
    if (redis === undefined) {
        return;
    }
    set_text(find("redis-state"), redis.state === "up" ? "connected to Redis"
        : "Redis is unreachable");
    fill_facts(find("redis"), [
        ["Resources followed", redis.resources],
        ["Published", redis.published], ["Received", redis.received],
        ["Waiting", redis.queued], ["Sent again", redis.retried],
        ["Recovered", redis.recovered], ["Reconnects", redis.reconnects],
        ["Not published", redis.failed, "trouble"],
        ["Gaps", redis.gaps, "trouble"]]);
}

function show_resources({ resources, zone, handlers }) {
    fill_facts(find("handlers"), handlers.map(({ name, clients }) =>
        [name, clients]));
    set_text(find("resources-more"), zone.logs > resources.length
        ? `The first ${count(resources.length)} of ${count(zone.logs)}, by`
            + " clients." : "");
    fill_table(find("resources"), resources.map((resource) => [
        [resource.handler, "text"], [resource.key, "text key"],
        count(resource.clients), count(resource.messages), resource.last]));
}

function show(report, sample) {
    set_text(find("about"), ` · version ${report.version} · counting for ${
        duration(report.uptime)}`);
    show_tiles(report, sample);
    show_workers(report);
    show_codes(report);
    show_zone(report);
    show_redis(report);
    show_resources(report);
}

function draw() {
    if (samples.length > 0) {
        charts.forEach((each) => each.draw(samples, Date.now()));
    }
}

/*
 * Requests
 */

function set_state(state) {
    if (document.body.dataset.state !== state) {
        document.body.dataset.state = state;
        set_text(find("state"), state === "live" ? "live" : "no answer");
        set_text(find("announcer"), state === "live"
            ? "The statistics are live."
            : "The server does not answer: the statistics are old.");
        find("notice").hidden = state === "live";
    }
}

// The last statistics stay, marked as old.
function set_stale(reason) {
    set_state("stale");
    const since = last_report === undefined ? ""
        : `; last update at ${clock(samples.at(-1).time)}`;
    set_text(find("notice"), `${reason}${since}. Retrying.`);
}

async function fetch_report() {
    const source = new URL(location.href);
    source.hash = "";
    source.searchParams.set("format", "json");
    const response = await fetch(source, { cache: "no-store",
        signal: AbortSignal.timeout(timeout_ms) });
    if (!response.ok) {
        throw new Error(`The server answers with status ${response.status}`);
    }
    return response.json();
}

let requesting = false;

async function update() {
    if (requesting) {
        return;
    }
    requesting = true;
    try {
        add_report(await fetch_report());
        last_answer = performance.now();
        set_state("live");
    } catch (error) {
        set_stale(error.message.startsWith("The server") ? error.message
            : "The server does not answer");
    }
    requesting = false;
    draw();
}

function check_age() {
    if (last_report && performance.now() - last_answer > stale_ms) {
        set_stale("The server does not answer");
    }
}

set_text(find("host"), location.host);
setInterval(update, period_ms);
setInterval(check_age, period_ms / 2);
addEventListener("visibilitychange", update);
update();
