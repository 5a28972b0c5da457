"""Two servers that differ only in `websocket_request`, and the formats of their
access logs."""

import re

CORE = """
args arg_room arg_empty arg_absent binary_remote_addr body_bytes_sent
bytes_sent connection_requests content_length content_type cookie_id
cookie_absent document_root document_uri host hostname http_cookie http_host
http_referer http_user_agent http_x_forwarded_for http_x_many http_x_quote
http_x_absent https is_args limit_rate nginx_version pid pipe
proxy_protocol_addr proxy_protocol_port query_string realip_remote_addr
remote_addr remote_user request request_completion request_filename
request_length request_method request_uri scheme sent_http_connection
sent_http_sec_websocket_protocol sent_http_upgrade sent_http_x_room
server_addr server_name server_protocol status upstream_status uri
ssl_protocol ssl_cipher ssl_server_name ssl_session_reused ssl_client_verify
ssl_client_s_dn ssl_curves
""".split()
OURS = ["websocket_" + name for name in (
    "bytes_in", "bytes_out", "close_by", "close_code", "dropped",
    "extensions", "handler", "messages_in", "messages_out", "resource",
    "subprotocol")]
# Variables that map, geo, split_clients or set create. Some depend on the
# request, some on the end of the session, some on each other.
DEFINED = """
kind loud very_loud quiet by_status address_kind part folded set_early
set_before_the_end granted captured named_part never_set
""".split()
# Variables whose values differ between connections.
SHAPES = {
    "connection": r"\d+", "connection_time": r"\d+\.\d{3}",
    "msec": r"\d+\.\d{3}", "realip_remote_port": r"\d+",
    "remote_port": r"\d*", "request_id": r"[0-9a-f]{32}",
    "request_time": r"\d+\.\d{3}", "server_port": r"\d+",
    "time_iso8601": r"[-+:T\d]{25}", "time_local": r".{26}",
    "tcpinfo_rtt": r"\d+", "websocket_client": r"\d+",
}
COMBINED = re.compile(
    r'127\.0\.0\.1 - - \[[^]]+\] "GET /echo\?a=%22 HTTP/1\.1" 101 \d+ '
    r'"http://x\.example/" "agent \\x22mine\\x22"\n')

HTTP = """
log_format all escape=json '{%s}';
log_format regex '$request_filename $end_part';
log_format plain '[$http_x_quote|$arg_absent|$arg_empty|$loud|$kind]';
map $http_user_agent $kind { default other; ~^agent agent; }
map $websocket_close_code $loud { default loud; 1000 ""; }
map $loud $very_loud { default "very $loud"; "" ""; }
map $very_loud$kind $quiet { default $kind$loud; }
map $status $by_status { 101 upgraded; default $status; }
map $websocket_close_code$uri $end_part { "~^(?<code>....)(.*)$" $2$1; }
map $uri $part { ~^/(?<named_part>[a-z]+) $named_part; }
map $http_x_many $folded { default <$http_x_many>; "" none; }
geo $address_kind { default far; 127.0.0.0/8 near; }
split_clients $arg_room $half { 50%% a; * b; }
map $set_before_the_end $elsewhere { default x; }
set_real_ip_from 127.0.0.1;
uninitialized_variable_warn off;
""" % ", ".join(f'"{name}":"${name}"' for name in (*CORE, *OURS, *DEFINED,
                                                     *SHAPES))

LOCATIONS = r"""
access_log %%PREFIX%%/all.log all;
root /nowhere/$arg_room;
add_header X-Room $arg_room always;
location /echo { set $set_early "early $arg_room"; websocket echo; }
location /if {
    if ($arg_room) { set $set_early inside; }
    websocket echo;
}
location /alias { alias /elsewhere/; websocket echo; }
location ~ ^/capture/(?<captured>.*)$ { websocket echo "<$captured>"; }
location ~ ^/regex/(.*)/([a-z]*)(x)?$ {
    access_log %%PREFIX%%/regex.log regex;
    alias /elsewhere/$2/$1/$3; websocket echo;
}
location /internal { error_page 402 = /echo; return 402; }
location /try { try_files /a /b /echo?tried; }
location /rewrite { rewrite ^ /echo?r=1 last; }
location /conditional {
    access_log %%PREFIX%%/all.log all if=$loud; websocket echo;
}
location /several {
    access_log %%PREFIX%%/all.log all;
    access_log %%PREFIX%%/second.log plain;
    websocket echo;
}
location /path {
    root %%PREFIX%%; access_log %%PREFIX%%/by-$arg_room.log all;
    websocket echo;
}
location /combined { access_log %%PREFIX%%/combined.log; websocket echo; }
location /off { access_log off; websocket echo; }
location /chat { websocket echo $arg_room; websocket_subprotocols v2 v1; }
location /deflate { websocket echo; websocket_deflate on; }
location /impatient { websocket echo; websocket_timeout 100ms;
                      websocket_ping_interval off; }
location /real { real_ip_header X-Real-IP; websocket echo; }
location /user {
    auth_basic r; auth_basic_user_file %%PREFIX%%/users; websocket echo;
}
location /granted {
    auth_request /grant; auth_request_set $granted $sent_http_x_room;
    websocket echo;
}
location = /grant { internal; return 204; }
location /unset { return 200 $never_set$elsewhere$set_before_the_end; }
location /setter { set $never_set 1; set $set_before_the_end 2; }
"""

SERVER = """
server {
    listen 127.0.0.1:%%PORT{plain}%%;
    listen 127.0.0.1:%%PORT{tls}%% ssl;
    listen 127.0.0.1:%%PORT{proxied}%% proxy_protocol;
    server_name one.example;
    {certificate}
    websocket_request {policy};
    {locations}
}}
server {{
    listen 127.0.0.1:%%PORT{tls}%% ssl;
    server_name two.example;
    {certificate}
    access_log %%PREFIX%%/all.log all;
    websocket_request {policy};
    location /echo {{ websocket echo $ssl_server_name; }}
}}
"""
CERTIFICATE = """
ssl_certificate %%PREFIX%%/localhost.crt;
ssl_certificate_key %%PREFIX%%/localhost.key;
"""
PORTS = ("plain", "tls", "proxied")
POLICIES = ("keep", "release")


def server_blocks():
    """Both servers, each on its own ports."""
    blocks = ""
    for number, policy in enumerate(POLICIES):
        block = SERVER
        values = {name: str(number * len(PORTS) + index + 1)
                  for index, name in enumerate(PORTS)}
        values.update(certificate=CERTIFICATE, policy=policy,
                      locations=LOCATIONS)
        for name, value in values.items():
            block = block.replace("{" + name + "}", value)
        blocks += block.replace("{{", "{").replace("}}", "}")
    return blocks


def write_users(server):
    with open(f"{server.prefix}/users", "w", encoding="ascii") as file:
        file.write("jane:{PLAIN}secret\n")
