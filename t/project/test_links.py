"""All links and anchors of the documents resolve. README.md has every
directive and variable, that of the status each member and metric."""

import json
import os
import re

import pytest

from status_reader import request
from test_layers import ROOT, tree_files

LONGEST_README = 500  # lines
STATUS_README = "src/nginx/status/README.md"

CODE = re.compile(r"^```[\s\S]*?^```$|^(?: {4}|\t).*$|`[^`\n]*`",
                  re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]*)>?\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
# A row of a table of directives: |<a id=name></a>`syntax`|default|description|
HEAD = re.compile(r"^\| syntax \(context: ([a-z, ]+)\) \|")
ROW = re.compile(r'^\| <a id="(\w+)"></a>`(\w+)([^`]*;)` \| (\S.*?) \| (.*) \|$')
COMMAND = re.compile(r'\{ ngx_string\("(websocket\w*)"\),\s*([A-Z_0-9 |]+?),')
OPTION = re.compile(r'^ *OPTION\("(\w+)"', re.MULTILINE)
CONTEXTS = {"NGX_HTTP_MAIN_CONF": "http", "NGX_HTTP_SRV_CONF": "server",
            "NGX_HTTP_LOC_CONF": "location"}
STRINGS = re.compile(r'"((?:[^"\\\n]|\\.)*)"(?:\s*(?=")|)')


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def texts():
    return sorted(path for path in tree_files() if path.endswith(".md"))


def slug(heading):
    """The anchor of a heading."""
    words = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
    return words.replace(" ", "-")


def anchors(text):
    without_code = CODE.sub("", text)
    names = [slug(heading) for heading in HEADING.findall(
        re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))]
    return set(names) | set(ANCHOR.findall(without_code))


def broken_links(path, text):
    """The links of a text whose target does not exist."""
    broken = []
    for target in LINK.findall(CODE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = os.path.normpath(os.path.join(os.path.dirname(path), name)
                                 ) if name else path
        if not os.path.exists(os.path.join(ROOT, found)):
            broken.append(target)
        elif anchor and anchor not in anchors(
                text if found == path else read(found)):
            broken.append(target)
    return broken


def directives_of_source(text):
    """{directive: its contexts} of the table in the source."""
    found = {name: [CONTEXTS[word] for word in re.findall(r"\w+", flags)
                    if word in CONTEXTS]
             for name, flags in COMMAND.findall(text)}
    found.update({f"websocket_{name}": list(CONTEXTS.values())
                  for name in OPTION.findall(text)})
    return found


def directives_of_readme(text):
    """{directive: (contexts, syntax, default, description)}."""
    found, contexts = {}, []
    for line in text.split("\n"):
        head = HEAD.match(line)
        row = ROW.match(line)
        if head:
            contexts = head.group(1).split(", ")
        elif row and row.group(1) == row.group(2):
            found[row.group(1)] = (contexts, *row.groups()[2:])
    return found


def string_literals(text):
    """The string literals of a source; adjacent ones are joined."""
    joined = re.sub(r'"\s*\n\s*"', "", text)
    return "\n".join(found.replace(r'\"', '"')
                     for found in STRINGS.findall(joined))


def quoted_log_texts(text):
    """Log texts that README.md quotes, in columns and sentences about the
    log."""
    found, in_log_column = [], False
    for above, line in zip([""] + text.split("\n"), text.split("\n")):
        if line.startswith("|"):
            last = line.rpartition(" | ")[2]
            if not above.startswith("|"):
                in_log_column = "log" in last
            elif in_log_column:
                found += re.findall(r"`([^`]* [^`]*)`", last)
        for sentence in re.findall(r"[^.;|]*\b(?:log|line)\b[^.;|]*", line):
            found += re.findall(r"`([a-z]+ [a-z][^`]*)`", sentence)
    return found


def members(value, prefix=""):
    """The names in a JSON object, as README writes them."""
    if isinstance(value, list):
        return set().union(*(members(each) for each in value))
    if not isinstance(value, dict):
        return set()
    return {name for key, inner in value.items()
            for name in {prefix + key} | (
                members(inner, key + ".") if prefix == "" else set())}


def names_in(text):
    """The texts in backquotes, without labels."""
    return {name.partition("{")[0] for name in re.findall(r"`([^`]+)`", text)}


@pytest.mark.parametrize("path", texts())
def test_links_and_anchors_lead_somewhere(path):
    assert not broken_links(path, read(path))


TEXT = """# Yes, `this` one

[a](#yes-this-one) [b](https://example.com/#no) `[c](no.c)`

    [d](no.d)

```
# No
[e](no.e)
```

| cell | [f]({}) |
"""


@pytest.mark.parametrize("link", ["no.md", "#no", "#yes", "LICENSE/no",
                                  "src/README.md#no", "t/no/"])
def test_broken_link_is_found(link):
    assert broken_links("README.md", TEXT.format(link)) == [link]


@pytest.mark.parametrize("link", ["README.md", "src/README.md#order", "t/"])
def test_good_link_is_passed(link):
    assert not broken_links("README.md", TEXT.format(link))


def test_readme_is_short():
    assert read("README.md").count("\n") <= LONGEST_README


def test_readme_has_each_directive_with_its_context():
    source = directives_of_source(read("src/nginx/module/directives.cpp"))
    readme = directives_of_readme(read("README.md"))
    assert len(source) > 20
    assert {name: contexts for name, (contexts, *_) in readme.items()} == source


def test_readme_has_syntax_default_and_description_of_directives():
    for name, (_, syntax, default, text) in directives_of_readme(
            read("README.md")).items():
        assert syntax.endswith(";") and len(text.split()) > 3, name
        assert default == "none" or "`" in default, name


@pytest.mark.parametrize("wrong", [
    '| <a id="websocket"></a>`websocket key;` | | text |',
    '| <a id="websocket"></a>`websocket key` | none | text |',
    '| <a id="websockets"></a>`websocket key;` | none | text |'])
def test_faulty_row_is_found(wrong):
    row = '| <a id="websocket"></a>`websocket key;` | none | text |'
    head = "| syntax (context: http, server) | default | description |\n"
    assert directives_of_readme(head + row) == {
        "websocket": (["http", "server"], " key;", "none", "text")}
    assert not directives_of_readme(head + wrong)


def test_readme_has_each_variable():
    variables = re.findall(r'ngx_string\("(websocket_\w+)"\)',
                           read("src/nginx/module/variables.cpp"))
    assert len(variables) > 10
    known = names_in(read("README.md"))
    assert not [name for name in variables if "$" + name not in known
                and f"${name}NAME" not in known]


def test_log_texts_of_readme_are_those_of_the_source():
    source = "\n".join(string_literals(read(path)) for path in tree_files()
                       if path.startswith("src/") and path.endswith(".cpp"))
    quoted = quoted_log_texts(read("README.md"))
    assert {"message is too big", "refused with"} <= set(quoted)
    assert not [words for words in quoted if words not in source]


def configurations(text):
    """{level: [lines]} of the examples in a text that are configuration."""
    found = {"http": [], "locations": []}
    for block in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE):
        if re.match(r" +location\b", block):
            found["locations"].append(block)
        elif re.match(r" +log_format\b", block):
            found["http"].append(block)
        elif re.match(r" +(websocket|proxy_pass)\b", block):
            found["locations"].append(
                f"set $room x; location /it {{ {block} }}")
    for line in text.split("\n"):
        for words in re.findall(r"`((?:websocket\w*|proxy_pass) [^`]*;)`",
                                re.sub(r"</a>`[^`]*`", "", line)):
            within = words.startswith(("websocket ", "proxy_pass "))
            found["http" if "_redis" in words else "locations"].append(
                f"location /it {{ {words} }}" if within else words)
    return found


def test_configurations_of_readme_are_valid(nginx):
    found = configurations(read("README.md"))
    upgrade = ('map $http_upgrade $connection_upgrade { default upgrade; '
               '"" close; }')
    assert len(found["locations"]) > 8 and len(found["http"]) > 1
    for lines in found["locations"]:
        passed, output = nginx.check(lines, http=upgrade)
        assert passed, (lines, output)
    for lines in found["http"]:
        passed, output = nginx.check(http=lines)
        assert passed, (lines, output)


def test_faulty_configuration_is_found(nginx):
    found = configurations("Set `websocket_accept words;` here.\n")
    assert not nginx.check(found["locations"][0])[0]


def status_of(server, form):
    response = server.request(request(f"/status?format={form}"))
    assert response.status == 200
    return response.body.decode()


def undocumented(server, text):
    """The members and metrics of the status that a text does not name."""
    known = names_in(text)
    report = json.loads(status_of(server, "json"))
    report.pop("workers")[0]["pid"]  # its members are also those of the total
    metrics = re.findall(r"^# TYPE (\w+)", status_of(server, "prometheus"),
                         re.MULTILINE)
    names = members(report) | set(metrics)
    return sorted(
        name for name in names - {"total", "zone", "redis"} if name not in known
        and name.rpartition(".")[2] not in known)


LOCATIONS = """
location /room { websocket room room; }
location /status { websocket_status; }
"""


def test_readme_has_all_members_and_metrics(nginx):
    server = nginx(LOCATIONS)
    server.connect("/room")
    assert not undocumented(server, read(STATUS_README))
    assert "nginx_websocket_clients" in undocumented(server, "`clients`")


def test_readme_has_all_members_and_metrics_of_redis(hosts):
    server = hosts(LOCATIONS, count=1)[0].server
    text = read(STATUS_README)
    assert not undocumented(server, text)
    assert "redis.gaps" in undocumented(server, text.replace("gaps", ""))
