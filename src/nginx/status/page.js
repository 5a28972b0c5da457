// The page of websocket_status: asks for the figures once a second, shows
// them, and says so when there are none.
"use strict";

const patience_ms = 5000; // for one answer
const stale_ms = 3500; // without an answer

const words_of_code = {
    1000: "normal", 1001: "going away", 1002: "protocol error",
    1003: "unsupported kind", 1005: "no code given", 1006: "no Close came",
    1007: "no valid data", 1008: "against the policy", 1009: "too large",
    1010: "extension missing", 1011: "handler failed", 1012: "restart",
    1013: "try again later", 1014: "bad gateway", other: "all others",
};
const fine_codes = ["1000", "1001", "1005"];
const words_of_status = {
    101: "accepted", 400: "malformed", 401: "not authorized",
    403: "not allowed", 405: "method", 426: "no upgrade to version 13",
    429: "too many", 500: "handler failed", 503: "full, or shutting down",
    other: "all others",
};

/*
 * What has come: a sample has rates, which the first one cannot have, nor one
 * before which the counts began anew.
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

function take(report) {
    // Another worker's clock may be a little behind: that is no sample
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
 * What is shown
 */

const charts = [
    new chart(find("clients-chart"), "Clients",
        [["connected", "first", (sample) => sample.clients]], rate),
    new chart(find("messages-chart"), "Messages a second",
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
    say(find("clients"), count(total.clients));
    say(find("rate-in"), rate(sample.messages_in));
    say(find("rate-out"), rate(sample.messages_out));
    say(find("bytes-in"), bytes(sample.bytes_in));
    say(find("bytes-out"), bytes(sample.bytes_out));
    say(find("dropped"), count(total.dropped));
    find("trouble-tile").className = total.dropped ? "trouble" : "";
}

function show_workers({ workers, total }) {
    fill_table(find("workers"), workers.map((worker) => cells_of(worker,
        [worker.slot, "text"], worker.pid, [worker.state, worker.state])));
    fill_table(find("total"), [cells_of(total, ["Total", "text"], "", "")]);
}

function entries_of(counts, words, fine) {
    return Object.entries(counts).map(([code, number]) => ({ code,
        words: words[code] ?? (code >= 3000 ? "of the application" : ""),
        count: number, fine: fine(code) }));
}

function show_codes({ total }) {
    const closes = entries_of(total.close_codes, words_of_code, (code) =>
        fine_codes.includes(code) || code >= 3000);
    closes.sort((a, b) => b.count - a.count);
    fill_bars(find("closes"), closes);
    find("no-closes").hidden = closes.length > 0;
    const { accepted, refused } = total.handshakes;
    fill_bars(find("handshakes"), [
        { code: "101", words: words_of_status[101], count: accepted,
            fine: true },
        ...entries_of(refused, words_of_status, () => false)]);
}

function show_zone({ zone, total }) {
    const share = zone.used / zone.size;
    find("fill").style.width = `${100 * share}%`;
    find("fill").className = share > 0.9 ? "high" : "";
    say(find("fill-text"), `${bytes(zone.used)} of ${bytes(zone.size)}, ${
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
    say(find("redis-state"), redis.state === "up" ? "in touch with Redis"
        : "Redis is out of reach");
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
    say(find("resources-more"), zone.logs > resources.length
        ? `The first ${count(resources.length)} of ${count(zone.logs)}, by`
            + " clients." : "");
    fill_table(find("resources"), resources.map((resource) => [
        [resource.handler, "text"], [resource.key, "text key"],
        count(resource.clients), count(resource.messages), resource.last]));
}

function show(report, sample) {
    say(find("about"), ` · version ${report.version} · counting for ${
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
 * Asking
 */

function become(state) {
    if (document.body.dataset.state !== state) {
        document.body.dataset.state = state;
        say(find("state"), state === "live" ? "live" : "no answer");
        say(find("announcer"), state === "live" ? "The figures are live."
            : "The server does not answer: the figures are old.");
        find("notice").hidden = state === "live";
    }
}

// The last figures stay, marked as what they are.
function went_stale(reason) {
    become("stale");
    const since = last_report === undefined ? ""
        : `: these figures are of ${clock(samples.at(-1).time)}`;
    say(find("notice"), `${reason}${since}. Asking again.`);
}

async function ask() {
    const source = new URL(location.href);
    source.hash = "";
    source.searchParams.set("format", "json");
    const response = await fetch(source, { cache: "no-store",
        signal: AbortSignal.timeout(patience_ms) });
    if (!response.ok) {
        throw new Error(`The server answers ${response.status}`);
    }
    return response.json();
}

let asking = false;

async function turn() {
    if (asking) {
        return;
    }
    asking = true;
    try {
        take(await ask());
        last_answer = performance.now();
        become("live");
    } catch (error) {
        went_stale(error.message.startsWith("The server") ? error.message
            : "The server does not answer");
    }
    asking = false;
    draw();
}

function look_at_clock() {
    if (last_report && performance.now() - last_answer > stale_ms) {
        went_stale("The server does not answer");
    }
}

say(find("host"), location.host);
setInterval(turn, period_ms);
setInterval(look_at_clock, period_ms / 2);
addEventListener("visibilitychange", turn);
turn();
