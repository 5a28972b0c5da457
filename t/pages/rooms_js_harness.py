"""A Rooms of the package in a page without the team chat: its objects and
events."""

import json

from team_page import log_in, token_of

# The page loads the module, connects, and records all events.
START = """
    const [options, token, done] = arguments;
    import("/client/index.js").then(({ Rooms }) => {
        window.events = [];
        window.tokens = 0;
        window.token = { token, expires_in: 300 };
        window.rooms = new Rooms("/team/live", { ...options,
            token: async () => {
                window.tokens++;
                if (window.token instanceof Error) {
                    throw window.token;
                }
                return window.token;
            } });
        for (const name of ["state", "welcome", "subscribed", "refused",
                            "message", "presence", "gap", "caught_up",
                            "fault"]) {
            rooms.addEventListener(name, ({ detail }) =>
                events.push([name, detail]));
        }
        window.results = [];
        window.publish = (room, text) => rooms.publish(room, text).then(
            (id) => results.push([text.toWellFormed(), id]),
            ({ message, uncertain }) => results.push(
                [text, message, uncertain]));
        done();
    });
"""


class RoomsPage:
    """A page at the log-in of the team chat, with a Rooms of its own. `options`
    are those of Rooms."""

    def __init__(self, page, server, user="Linus", **options):
        self.page = page
        self.browser = page.browser
        self.user = user
        token = token_of(server, log_in(server, user))["token"]
        page.look()
        self.browser.execute_async_script(START, options, token)

    def run(self, script, *args):
        return self.browser.execute_script(script, *args)

    def subscribe(self, *rooms, **options):
        """Subscribes to all in one turn."""
        self.run("for (const room of arguments[0]) {"
                 " rooms.subscribe(room, arguments[1]); }", rooms, options)

    def events(self, name, **members):
        """The details of these events, in order."""
        return [detail for each, detail in self.run("return events")
                if each == name and members.items() <= detail.items()]

    def wait_event(self, name, count=1, **members):
        """Waits until there are so many; returns them."""
        return self.page.wait(
            lambda: len(found := self.events(name, **members)) >= count
            and found, f"{count} {name} {json.dumps(members)}")

    def wait_state(self, state):
        self.page.wait(lambda: self.run("return rooms.state") == state, state)

    def data(self, room):
        return [each["data"] for each in self.events("message", room=room)]

    def wait_data(self, room, *data):
        self.page.wait(lambda: self.data(room) == list(data), f"{data}")

    def publish(self, room, text):
        """Does not wait for the result, which `results` will have."""
        self.run("publish(arguments[0], arguments[1])", room, text)

    def wait_results(self, count):
        """Waits for so many results: [text, id], or [text, reason,
        uncertain]."""
        return self.page.wait(
            lambda: len(found := self.run("return results")) >= count and found,
            f"{count} results")
