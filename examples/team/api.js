// The calls of the backend, team.py: log-in, tokens and direct messages.

export class ApiError extends Error {
    constructor(message, status) {
        super(message);
        this.name = "ApiError";
        this.status = status;
        this.final = status === 401; // the session has ended
    }
}

const answer_within = 15_000; // ms

export class Api {
    #base;
    #session;

    constructor(base, session = undefined) {
        this.#base = base;
        this.#session = session;
    }

    get session() { return this.#session; }

    async log_in(name) {
        const { session, user } = await this.#call("login", { name });
        this.#session = session;
        return user;
    }

    // { token, expires_in, user, rooms, people }
    token() { return this.#call("token"); }

    // A message that is sent again must have the same nonce.
    send_direct(to, text, nonce) {
        return this.#call("direct", { to, text, nonce });
    }

    log_out() { return this.#call("logout", {}, { keepalive: true }); }

    async #call(name, message = {}, more = {}) {
        const headers = { "Content-Type": "application/json" };
        if (this.#session) {
            headers.Authorization = `Bearer ${this.#session}`;
        }
        let response;
        let answer = {};
        try {
            response = await fetch(`${this.#base}/${name}`, {
                method: "POST", headers, body: JSON.stringify(message),
                signal: AbortSignal.timeout(answer_within), ...more });
            answer = await response.json();
        } catch {
            if (response?.ok !== false) {
                throw new ApiError("The server does not answer.");
            }
        }
        if (!response.ok) {
            throw new ApiError(answer.error ?? "The server is not ready.",
                               response.status);
        }
        return answer;
    }
}
