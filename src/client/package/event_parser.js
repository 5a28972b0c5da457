// Parses an event stream, which may be cut anywhere.

export class EventParser {
    #call;
    #rest = []; // pieces of the line that has not ended
    #skip_feed = false; // whether a CR has ended the last line
    #fields = {};

    // call(fields) for each event that has data, with its fields by name.
    constructor(call) {
        this.#call = call;
    }

    push(text) {
        if (text === "") {
            return;
        }
        const rest = this.#skip_feed && text[0] === "\n" ? text.slice(1) : text;
        this.#skip_feed = text.endsWith("\r");
        const lines = rest.split(/\r\n?|\n/);
        this.#rest.push(lines.shift());
        for (const next of lines) {
            const line = this.#rest.join("");
            this.#rest = [next];
            this.#line(line);
        }
    }

    #line(line) {
        const fields = this.#fields;
        if (line !== "") {
            const [, name, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
            fields[name] = name === "data" && name in fields
                ? `${fields.data}\n${value}` : value;
        } else {
            this.#fields = {};
            if ("data" in fields) {
                this.#call(fields);
            }
        }
    }
}
