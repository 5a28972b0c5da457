import assert from "node:assert/strict";
import { test } from "node:test";

import { EventParser } from "../../src/client/package/event_parser.js";

const text = "retry: 5\n\n:comment\n\nid: 5-1\ntime: 7\ndata: a\n\n"
    + "event: binary\nid:5-2\ndata: AA==\n\ndata:  two\ndata\ndata:lines:\n\n"
    + "id: 5-3\n\nevent: empty\ndata\n\ndata: cut off";
const expected = [
    { id: "5-1", time: "7", data: "a" },
    { event: "binary", id: "5-2", data: "AA==" },
    { data: " two\n\nlines:" },
    { event: "empty", data: "" },
];

function events_of(pieces) {
    const events = [];
    const parser = new EventParser((fields) => events.push({ ...fields }));
    pieces.forEach((piece) => parser.push(piece));
    return events.map(({ retry, "": comment, ...fields }) => fields);
}

for (const [name, end] of [["LF", "\n"], ["CR", "\r"], ["CRLF", "\r\n"]]) {
    const stream = text.replaceAll("\n", end);

    test(`lines that end with ${name} arrive whole`, () => {
        assert.deepEqual(events_of([stream]), expected);
    });

    test(`lines that end with ${name} arrive byte by byte`, () => {
        assert.deepEqual(events_of([...stream]), expected);
    });

    test(`lines that end with ${name} are cut at each byte`, () => {
        for (let i = 0; i <= stream.length; i++) {
            assert.deepEqual(events_of([stream.slice(0, i), "",
                                        stream.slice(i)]), expected);
        }
    });
}

test("an event is complete at the CR of its empty line", () => {
    assert.deepEqual(events_of(["data: a\r\r"]), [{ data: "a" }]);
    assert.deepEqual(events_of(["data: a\r", "\r", "\ndata: b\r\n\r"]),
                     [{ data: "a" }, { data: "b" }]);
});

test("a long line in many pieces takes time in proportion", () => {
    const pieces = ["data: ", ...Array(20_000).fill("0123456789"), "\n\n"];
    const [{ data }] = events_of(pieces);
    assert.equal(data.length, 200_000);
});
