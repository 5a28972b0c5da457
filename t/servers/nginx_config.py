"""Writes the configuration file of one nginx under test."""

import os

ACCESS_FIELDS = [
    "status", "request", "uri", "args", "request_time", "bytes_sent",
    "request_length", "remote_addr", "connection", "host", "scheme",
]

WEBSOCKET_FIELDS = [
    "websocket_" + name for name in (
        "handler", "resource", "client", "subprotocol", "extensions",
        "messages_in", "messages_out", "bytes_in", "bytes_out", "dropped",
        "close_code", "close_by", "user",
    )
]

DEFAULT_LOCATIONS = "location /echo { websocket echo; }"

TEMPLATE = """\
@LOAD@
daemon off;
master_process @MASTER@;
worker_processes @WORKERS@;
@USER@
pid @PREFIX@/nginx.pid;
error_log @PREFIX@/error.log @LEVEL@;
working_directory @PREFIX@;
@MAIN@

events {
    worker_connections @CONNECTIONS@;
    @EVENTS@
}

http {
    log_format harness escape=json '@FORMAT@';
    access_log @PREFIX@/access.log harness;
    client_body_temp_path @PREFIX@/client_body;
    proxy_temp_path @PREFIX@/proxy;
    fastcgi_temp_path @PREFIX@/fastcgi;
    uwsgi_temp_path @PREFIX@/uwsgi;
    scgi_temp_path @PREFIX@/scgi;
    default_type text/plain;
    @REQUEST@
    @HTTP@

    server {
        listen 127.0.0.1:@CONTROL@;
        access_log off;
        keepalive_timeout 0;
        location = /token { return 200 "@TOKEN@ $pid"; }
        location = /active { stub_status; }
    }

    server {
        listen 127.0.0.1:@PORT@ @LISTEN@;
        @TLS@
        @SERVER@
        @LOCATIONS@
    }

    @SERVERS@
}
"""


class NginxConfig:
    """The configuration of one nginx, as snippets for each level.

    In a snippet %%PREFIX%% stands for the server's folder, %%PORT%% for its
    port, %%PORT1%%, %%PORT2%% for the further ones (`ports=2`).
    """

    def __init__(self, locations=DEFAULT_LOCATIONS, *, main="", events="",
                 http="", server="", servers="", listen="", workers=1,
                 level="info", master=True, module=True, tls=False, ports=0,
                 connections=4096, request_policy=None):
        self.snippets = {
            "MAIN": main, "EVENTS": events, "HTTP": http, "SERVER": server,
            "SERVERS": servers, "LISTEN": listen, "LOCATIONS": locations,
        }
        self.workers = workers
        self.connections = connections
        self.level = level
        self.master = master
        self.module = module
        self.tls = tls
        self.ports = ports
        self.request_policy = request_policy

    def ports_needed(self):
        """The number of ports: control, main, TLS, and those that the test
        needs."""
        return 3 + self.ports

    def request_line(self):
        """The request policy, unless a snippet sets one."""
        if not self.request_policy or not self.module or \
                "websocket_request" in "".join(self.snippets.values()):
            return ""
        return f"websocket_request {self.request_policy};"

    def text(self, prefix, module_file, token, ports, certificate):
        """Returns the whole file for a prefix and free ports."""
        control, main, tls, *further = ports
        values = dict(self.snippets)
        values.update({
            "LOAD": f"load_module {module_file};" if self.module else "",
            "MASTER": "on" if self.master else "off",
            "WORKERS": self.workers,
            "CONNECTIONS": self.connections,
            "USER": "user root;" if os.geteuid() == 0 else "",
            "LEVEL": self.level,
            "FORMAT": log_format(self.module),
            "REQUEST": self.request_line(),
            "CONTROL": control,
            "TOKEN": token,
            "TLS": tls_lines(tls, certificate) if self.tls else "",
        })
        text = TEMPLATE
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        for index, port in enumerate(further, 1):
            text = text.replace(f"%%PORT{index}%%", str(port))
        for form in ("@{}@", "%%{}%%"):
            text = text.replace(form.format("PREFIX"), str(prefix))
            text = text.replace(form.format("PORT"), str(main))
            text = text.replace(form.format("TLS_PORT"), str(tls))
        return text


def log_format(module):
    """One JSON object per line; module variables only with the module."""
    names = ACCESS_FIELDS + (WEBSOCKET_FIELDS if module else [])
    return "{" + ",".join(f'"{name}":"${name}"' for name in names) + "}"


def tls_lines(port, certificate):
    """The TLS listener beside the plain one, in the same server block."""
    return (f"listen 127.0.0.1:{port} ssl;\n"
            f"        ssl_certificate {certificate}.crt;\n"
            f"        ssl_certificate_key {certificate}.key;")
