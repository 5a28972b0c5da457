"""The servers that are measured: nginx with our module, and with nchan."""

import glob
import os
import re
import subprocess

from nginx_config import NginxConfig
from nginx_server import (NGINX, ROOT, NginxServer, module_file,
                          remove_prefix)

FOLDER = os.path.join(ROOT, "build/bench")
NCHAN = "ngx_nchan_module.so"

OWN_LOCATIONS = """
location = /echo { websocket echo; }
location = /lobby { websocket room lobby; }
location = /quiet { websocket room quiet self=off; }
location = /alone { websocket room $arg_room; }
"""

# Each subscriber hears what is published from now on.
NCHAN_LOCATIONS = """
location = /subscribe {
    nchan_subscriber websocket;
    nchan_subscriber_first_message newest;
    nchan_message_buffer_length 100;
    nchan_channel_id lobby;
}
location = /publish {
    nchan_publisher websocket;
    nchan_message_buffer_length 100;
    nchan_channel_id lobby;
}
"""

# Connections are spread over the workers, and each answer names its own.
SERVER = "access_log off; add_header X-Worker $pid always;"


def fresh_prefix(name):
    """A folder without the logs of an earlier run."""
    prefix = os.path.join(FOLDER, name)
    remove_prefix(prefix)
    return prefix


def start_own(workers):
    """nginx with the module that was built."""
    module_file()
    return NginxServer(
        fresh_prefix(f"own-{workers}"),
        NginxConfig(OWN_LOCATIONS, workers=workers, server=SERVER,
                    listen="reuseport backlog=4096", level="warn"))


def start_nchan(module):
    """nginx, one worker, with nchan, which is judged by its replies
    alone."""
    server = NginxServer(
        fresh_prefix("nchan"),
        NginxConfig(NCHAN_LOCATIONS, main=f"load_module {module};",
                    server="access_log off;", listen="backlog=4096",
                    module=False, level="warn"))
    server.allow_errors("")
    return server


def installed_nchan():
    """Where Debian's package puts the module, if it is there."""
    told = subprocess.run([NGINX, "-V"], capture_output=True, text=True,
                          check=True).stderr
    path = re.search(r"--modules-path=(\S+)", told)
    file = os.path.join(path.group(1), NCHAN) if path else ""
    return file if os.path.exists(file) else None


def find_nchan():
    """(file, why not): the module as it is installed, or else unpacked
    from Debian's package into build/, where nothing needs root."""
    folder = os.path.join(FOLDER, "nchan-package")
    found = installed_nchan() or next(
        glob.iglob(f"{folder}/**/{NCHAN}", recursive=True), None)
    if found:
        return found, None
    os.makedirs(folder, exist_ok=True)
    try:
        subprocess.run(["apt-get", "-q", "download", "libnginx-mod-nchan"],
                       cwd=folder, check=True, capture_output=True,
                       text=True, timeout=60)
        for package in glob.glob(f"{folder}/*.deb"):
            subprocess.run(["dpkg", "-x", package, folder], check=True,
                           capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        return None, told.strip().splitlines()[-1]
    found = glob.glob(f"{folder}/**/{NCHAN}", recursive=True)
    return (found[0], None) if found else (None, "the package has no module")
