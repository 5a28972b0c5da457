// The tokens of a page, and the time at which each is renewed.

const longest_timer = 2 ** 31 - 1; // ms

// The seconds until a token ends, or undefined. A clock that is wrong must not
// request tokens without end.
function life_of(token) {
    try {
        const { exp } = JSON.parse(atob(token.split(".")[1]
            .replace(/-/g, "+").replace(/_/g, "/")));
        return exp && Math.max(10, exp - Date.now() / 1000);
    } catch {
        return undefined;
    }
}

// The page's callback may return a token, or one with its time, or none.
export async function requested_token(callback) {
    const answer = await callback();
    const { token, expires_in } = typeof answer === "string"
        ? { token: answer } : answer ?? {};
    return { token, expires_in: token && (expires_in ?? life_of(token)) };
}

// ms until a token is renewed: a random time before its end, so that clients do
// not renew all at once.
export function renewal_delay({ expires_in }, renew_before) {
    const life = expires_in * 1000;
    const lead = Math.min(renew_before, life / 2) * (1 + Math.random() / 4);
    return Math.min(life - lead, longest_timer);
}
