// The picture of a user: the initials, on a colour that depends on the name.

import { make } from "../elements.js";

const colours = 10;

function initials(name) {
    const words = name.split(/[\s._-]+/).filter((word) => word !== "");
    const letters = words.length > 1
        ? [words[0], words.at(-1)].map((word) => Array.from(word)[0])
        : Array.from(words[0] ?? "?").slice(0, 2);
    return letters.join("").toUpperCase();
}

function colour_of(name) {
    return Array.from(name).reduce((sum, letter) =>
        (sum * 31 + letter.codePointAt(0)) % 9973, 7) % colours;
}

// Screen readers have the name beside it.
export function avatar(name) {
    return make("span", {
        className: "avatar", textContent: initials(name),
        attributes: { "aria-hidden": "true",
                      "data-colour": String(colour_of(name)) },
    });
}
