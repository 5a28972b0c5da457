"""The measured nginx servers: with the module, with nchan, and as a proxy. All
have a plain port, and a TLS port if it is requested."""

import glob
import os
import re
import resource
import subprocess

from nginx_config import NginxConfig
from nginx_server import (NGINX, ROOT, NginxServer, check_config, module_file,
                          remove_prefix)

FOLDER = os.path.join(ROOT, "build/bench")
NCHAN = "ngx_nchan_module.so"

OWN_LOCATIONS = """
location = /echo { websocket echo; }
location = /lobby { websocket room lobby; }
location = /quiet { websocket room quiet self=off; }
location = /rooms { websocket rooms; websocket_rooms room-*; }
location = /room-0 { websocket room room-0; }
location = /events { websocket room events; websocket_event_stream on; }
location = /alone { websocket room $arg_room; }
location = /deflate { websocket echo; websocket_deflate on; }
location = /deflate-takeover {
    websocket echo;
    websocket_deflate on;
    websocket_deflate_context_takeover on;
}
"""

RELEASE_LOCATIONS = """
websocket_request release;
location = /echo { websocket echo; }
location = /events { websocket room events; websocket_event_stream on; }
"""

# A subscriber gets only messages that are published after it.
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

# A subscriber of 50 channels.
NCHAN_ROOMS = 50
NCHAN_LOCATIONS += f"""
location = /subscribe-many {{
    nchan_subscriber websocket;
    nchan_subscriber_first_message newest;
    nchan_message_buffer_length 100;
    nchan_channel_id {','.join(f"room-{i}" for i in range(NCHAN_ROOMS))};
    nchan_channel_id_split_delimiter ",";
}}
location = /publish-one {{
    nchan_publisher websocket;
    nchan_message_buffer_length 100;
    nchan_channel_id room-0;
}}
"""

# The subscribers of the next one read event streams.
NCHAN_LOCATIONS += """
location = /events {
    nchan_subscriber eventsource;
    nchan_subscriber_first_message newest;
    nchan_message_buffer_length 100;
    nchan_channel_id events;
}
location = /publish-event {
    nchan_publisher websocket;
    nchan_message_buffer_length 100;
    nchan_channel_id events;
}
"""

# The same locations with a Redis.
NCHAN_REDIS_LOCATIONS = re.sub(
    "(?m)^}", "    nchan_use_redis on;\n    nchan_redis_url @URL@;\n}",
    NCHAN_LOCATIONS)

PROXY_LOCATIONS = """
location / {{
    proxy_pass http://127.0.0.1:{port};
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
}}
"""

# Connections are spread over the workers, and each response names its worker.
SERVER = "access_log off; add_header X-Worker $pid always;"

# A further port for HTTP/2 without TLS, as a line before the locations.
HTTP2 = "listen 127.0.0.1:%%PORT1%% http2 backlog=4096;"

# TLS versions that Node supports too. Debian's nginx allows only up to 1.2 by
# default.
HTTP = "ssl_protocols TLSv1.2 TLSv1.3;"


def open_files():
    """The number of files that a server may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def fresh_prefix(name):
    """The path of a folder without logs of earlier runs."""
    prefix = os.path.join(FOLDER, name)
    remove_prefix(prefix)
    return prefix


def own_config(locations, workers, http="", **options):
    """The configuration of an nginx with the module."""
    return NginxConfig(
        locations, workers=workers, server=SERVER, http=HTTP + http,
        listen="reuseport backlog=4096", level="warn",
        connections=min(open_files(), 20000), **options)


def start_own(workers, tls=False, locations=OWN_LOCATIONS, name="own",
              http2=False, **options):
    """Starts nginx with the module."""
    module_file()
    if http2:
        locations, options["ports"] = HTTP2 + locations, 1
    return NginxServer(fresh_prefix(f"{name}-{workers}"),
                       own_config(locations, workers, tls=tls, **options))


def start_own_release(**options):
    """The same with released requests."""
    return start_own(1, locations=RELEASE_LOCATIONS, **options)


def knows_release():
    """(whether the module has `websocket_request release`, else the error)."""
    passed, output = check_config(fresh_prefix("own-check"),
                                  own_config(RELEASE_LOCATIONS, 1))
    error = re.search(r"#\d+: (.*) in /", output)
    return passed, error.group(1) if error else output.strip()


def start_plain(name, config, **options):
    """Starts nginx without the module. Its logs are not checked."""
    server = NginxServer(fresh_prefix(name), NginxConfig(
        server="access_log off;", http=HTTP, level="warn",
        listen="backlog=4096", connections=min(open_files(), 20000),
        **config, **options))
    server.allow_errors("")
    return server


def start_nchan(module, workers=1, tls=False, name="nchan", redis_url=None,
                http2=False):
    """Starts nginx with nchan."""
    locations = NCHAN_LOCATIONS if redis_url is None else \
        NCHAN_REDIS_LOCATIONS.replace("@URL@", redis_url)
    return start_plain(
        f"{name}-{workers}", {"locations": (HTTP2 if http2 else "") + locations,
                              "module": False,
                              "main": f"load_module {module};"},
        workers=workers, tls=tls, ports=int(http2))


class Proxy:
    """nginx in front of another server. The CPU time of both counts."""

    def __init__(self, upstream, tls=False):
        self.upstream = upstream
        self.nginx = start_plain(
            "proxy", {"locations": PROXY_LOCATIONS.format(
                port=upstream.port), "module": False}, tls=tls)
        self.port, self.tls_port = self.nginx.port, self.nginx.tls_port

    def worker_pids(self):
        return self.nginx.worker_pids() + self.upstream.worker_pids()

    def stop(self):
        self.nginx.stop()
        self.upstream.stop()


def installed_nchan():
    """The path of the module in Debian's package, if it is installed."""
    output = subprocess.run([NGINX, "-V"], capture_output=True, text=True,
                            check=True).stderr
    path = re.search(r"--modules-path=(\S+)", output)
    file = os.path.join(path.group(1), NCHAN) if path else ""
    return file if os.path.exists(file) else None


def find_nchan():
    """(file, error): nchan's module as installed, or unpacked from Debian's
    package into build/, which does not need root."""
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
        output = getattr(error, "stderr", None) or str(error)
        return None, output.strip().splitlines()[-1]
    found = glob.glob(f"{folder}/**/{NCHAN}", recursive=True)
    return (found[0], None) if found else (None, "the package has no module")
