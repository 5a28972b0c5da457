"""The module together with Debian's other modules that are installed.

WEBSOCKET_OTHER_MODULES names another folder of modules.
"""

import os
import re
import subprocess

import pytest

import wire
from nginx_server import NGINX

# Other modules need the symbols of these.
NEEDED_BY_OTHERS = ["ndk_http_module.so", "ngx_stream_module.so",
                    "ngx_mail_module.so"]
OURS = "ngx_http_websocket_module.so"

HTTP = """
log_format other '$uri $http_user_agent $status $websocket_close_code';
map $http_x_room $room { default $http_x_room; "" none; }
"""
LOCATIONS = """
access_log %%PREFIX%%/access.log harness;
access_log %%PREFIX%%/other.log other;
location /echo { websocket echo; }
location /room { websocket room $room; }
"""


def modules_folder():
    """The folder of modules of the nginx under test."""
    output = subprocess.run([NGINX, "-V"], capture_output=True, text=True,
                            check=True).stderr
    found = re.search(r"--modules-path=(\S+)", output)
    return os.environ.get("WEBSOCKET_OTHER_MODULES",
                          found.group(1) if found else "/nowhere")


def loadable(path):
    """False if a library that the module needs is missing."""
    output = subprocess.run(["ldd", path], capture_output=True, text=True,
                            check=False).stdout
    return "not found" not in output


def installed():
    """The names of all other modules, with those that others need first."""
    folder = modules_folder()
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    names = [name for name in names if name.endswith(".so") and name != OURS
             and loadable(os.path.join(folder, name))]
    return sorted(names, key=lambda name: (name not in NEEDED_BY_OTHERS, name))


INSTALLED = installed()


def load(names):
    """Lines that load these modules, after those that others need."""
    wanted = [name for name in INSTALLED
              if name in names or name in NEEDED_BY_OTHERS]
    return "\n".join(f"load_module {os.path.join(modules_folder(), name)};"
                     for name in wanted)


def talk(server, path, agent):
    """A client that sends a message and closes normally."""
    client = server.connect(path, headers=[("User-Agent", agent),
                                           ("X-Room", "garden")])
    client.text("hello")
    client.expect_text("hello")
    client.send(wire.ping("p"))
    client.expect_pong("p")
    client.leave()
    client.disconnect()


def served_as_ever(server):
    """Checks handshakes, messages and log lines."""
    talk(server, "/echo", "first")
    talk(server, "/room", "second")
    server.wait_for_access_log(2)
    assert server.read("other.log").splitlines() == [
        "/echo first 101 1000", "/room second 101 1000"]


@pytest.mark.parametrize("name", INSTALLED or ["none"])
def test_module_that_is_loaded_changes_nothing(nginx, name):
    if not INSTALLED:
        pytest.skip("no other module is installed")
    served_as_ever(nginx(LOCATIONS, http=HTTP, main=load([name])))


def test_all_modules_together_change_nothing(nginx):
    server = nginx(LOCATIONS, http=HTTP, main=load(INSTALLED), workers=2)
    served_as_ever(server)
    old = server.reload()
    server.wait_for_workers_gone(old)
    talk(server, "/echo", "third")
    server.wait_for_access_log(3)
    assert "/echo third 101 1000" in server.read("other.log")
