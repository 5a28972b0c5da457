// The name in the chat. A chosen name is kept for the next visit, a made-up one
// for this window, so that two windows have two names.

const key = "chat-name";
const qualities = ["Amber", "Brave", "Calm", "Clever", "Gentle", "Happy",
                   "Lucky", "Merry", "Mossy", "Quick", "Quiet", "Silver",
                   "Sunny", "Swift", "Velvet", "Witty"];
const animals = ["Badger", "Beaver", "Falcon", "Finch", "Fox", "Heron",
                 "Lynx", "Magpie", "Marten", "Mole", "Otter", "Owl", "Robin",
                 "Salmon", "Stoat", "Wren"];

export const max_name = 32;

export function random_name() {
    const one_of = (list) => list[Math.floor(Math.random() * list.length)];
    return `${one_of(qualities)} ${one_of(animals)}`;
}

// One line without " says", which ends a name, and without marks that change
// the direction of text.
export function clean_name(text) {
    const line = (text.toWellFormed?.() ?? text)
        .replace(/[\p{Cc}\s\u202a-\u202e\u2066-\u2069]+/gu, " ")
        .replace(/ says(?= )/g, "").trim();
    return Array.from(line).slice(0, max_name).join("").trim();
}

// Storage may be forbidden; then names last as long as the page.
function stored(storage_of) {
    try {
        return storage_of().getItem(key) ?? "";
    } catch {
        return "";
    }
}

function store(storage_of, name) {
    try {
        storage_of().setItem(key, name);
    } catch {
        return;
    }
}

// `wanted` comes from the page's address and is kept for this window.
export function own_name(wanted) {
    const name = clean_name(wanted ?? "")
        || clean_name(stored(() => sessionStorage))
        || clean_name(stored(() => localStorage)) || random_name();
    store(() => sessionStorage, name);
    return name;
}

export function keep_name(name) {
    store(() => sessionStorage, name);
    store(() => localStorage, name);
}
