"""Starts Chromium, and the driver through which Selenium controls it."""

import collections
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

# The shell draws no windows and takes less than half of the CPU time. If it is
# not installed, the tests start the full Chromium.
SHELL = "/usr/bin/chromium-headless-shell"
CHROMIUM = "/usr/bin/chromium"
DRIVER = "/usr/bin/chromedriver"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--window-size=1280,860",
]
LISTENING = "DevTools listening on ws://"


def start_shell(flags):
    """Starts the shell; returns its process and the address of its debugger, a
    free port on loopback. SHELL is a script that starts the program, so both
    get a process group of their own."""
    process = subprocess.Popen(
        [SHELL, *flags, "--remote-debugging-port=0", "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True)
    printed = []
    for line in process.stderr:
        if line.startswith(LISTENING):
            break
        printed.append(line)
    else:
        raise AssertionError(f"{SHELL} ended: {''.join(printed)}")
    # A full pipe would block the shell.
    threading.Thread(target=collections.deque, args=(process.stderr, 0),
                     daemon=True).start()
    return process, line.removeprefix(LISTENING).split("/")[0]


@functools.cache
def start_chromium(config):
    """A Chromium for this test run, with a new profile and without background
    requests. The pages of each test file have another origin, because of their
    port."""
    profile = tempfile.mkdtemp(prefix="chromium-")
    config.add_cleanup(lambda: shutil.rmtree(profile, ignore_errors=True))
    flags = [*FLAGS, f"--user-data-dir={profile}"]
    options = webdriver.ChromeOptions()
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})

    if os.path.exists(SHELL):
        # The driver finds no page in a shell that it starts.
        process, options.debugger_address = start_shell(flags)
        config.add_cleanup(process.wait)
        config.add_cleanup(
            lambda: os.killpg(process.pid, signal.SIGTERM))
    else:
        options.binary_location = CHROMIUM
        for flag in ["--headless=new", *flags]:
            options.add_argument(flag)
        # A speculative connection would look like a leaked one.
        options.add_experimental_option(
            "prefs", {"net": {"network_prediction_options": 2}})

    # The driver must not write into the user's home.
    driver = Service(DRIVER, env=dict(os.environ, HOME=profile))
    chromium = webdriver.Chrome(service=driver, options=options)
    config.add_cleanup(chromium.quit)
    return chromium
