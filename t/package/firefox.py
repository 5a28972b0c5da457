"""Starts Debian's Firefox, and controls it by WebDriver BiDi, which it speaks
itself: Debian has no geckodriver."""

import collections
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading

import websocket

from nginx_server import seconds

FIREFOX = "/usr/bin/firefox-esr"
LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
# No requests but those of the tests, and no pages that open by themselves.
PREFERENCES = {
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}


class Firefox:
    """A headless Firefox with a new profile and one page."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="firefox-")
        with open(os.path.join(self.profile, "user.js"), "w",
                  encoding="utf-8") as file:
            for name, value in PREFERENCES.items():
                file.write(f"user_pref({json.dumps(name)}, "
                           f"{json.dumps(value)});\n")
        self.process = subprocess.Popen(
            [FIREFOX, "--headless", "--no-remote", "--profile", self.profile,
             "--remote-debugging-port=0"],
            env={**os.environ, "HOME": self.profile},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        self.deadline = threading.Timer(seconds(120), self.process.kill)
        self.deadline.start()
        self.numbers = itertools.count(1)
        try:
            self.connection = websocket.create_connection(
                f"{self._address()}/session", timeout=seconds(60),
                suppress_origin=True)
            self.call("session.new", capabilities={})
            [tab] = self.call("browsingContext.getTree")["contexts"]
            self.tab = tab["context"]
        except BaseException:
            self.close()
            raise

    def _address(self):
        printed = []
        for line in self.process.stderr:
            found = LISTENING.search(line)
            if found:
                # A full pipe would block Firefox.
                threading.Thread(target=collections.deque, daemon=True,
                                 args=(self.process.stderr, 0)).start()
                return found[1]
            printed.append(line)
        raise AssertionError(f"{FIREFOX} ended: {''.join(printed)}")

    def close(self):
        self.deadline.cancel()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, **parameters):
        """The result of a command."""
        number = next(self.numbers)
        self.connection.send(json.dumps({"id": number, "method": method,
                                         "params": parameters}))
        while True:
            answer = json.loads(self.connection.recv())
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    def open(self, url):
        self.call("browsingContext.navigate", context=self.tab, url=url,
                  wait="complete")

    def run(self, script):
        """Runs the text of an asynchronous function in the page; returns its
        result, which must be JSON."""
        result = self.call(
            "script.evaluate", target={"context": self.tab}, awaitPromise=True,
            expression=f"(async () => {{ {script} }})()"
                       ".then((result) => JSON.stringify(result ?? null))")
        assert result["type"] == "success", result
        return json.loads(result["result"]["value"])
