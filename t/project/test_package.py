"""The files of `make deb` and `make install`: a module that nginx loads, and
headers to compile a handler outside of the tree."""

import faulthandler
import gzip
import os
import re
import subprocess

import pytest

import wire
from nginx_server import ROOT
from worker_probe import memory_is_exact

NAME = "libnginx-mod-http-websocket"
MODULE = "usr/lib/nginx/modules/ngx_http_websocket_module.so"
LOADER = "usr/share/nginx/modules-available/mod-http-websocket.conf"
SDK = os.path.join(ROOT, "src", "sdk")
HEADERS = sorted(name for name in os.listdir(SDK)
                 if name.endswith((".h", ".hpp")))

GREETER = """
#include {header}

struct user : websocket::client {{}};

struct minimal : websocket::resource<user> {{
    void client_connected(user &u) override
    {{
        u.send_text_message("hello from outside");
    }}
}};

WEBSOCKET_HANDLER("minimal", minimal)
"""

pytestmark = pytest.mark.skipif(
    not memory_is_exact(), reason="the packaged module is not instrumented")


def run(*command, **options):
    """Runs a command that must succeed; returns its output."""
    done = subprocess.run(command, text=True, check=False, cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    return done.stdout


def make(*arguments):
    """Runs make as a user does, without the variables of the test run, and with
    low priority."""
    return run("nice", "env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL",
               "-u", "MFLAGS", "make", *arguments)


@pytest.fixture(scope="module")
def packages():
    """The two package files, as (module, headers). Compiling them may take
    minutes on a busy machine."""
    faulthandler.cancel_dump_traceback_later()
    paths = [os.path.join(ROOT, path) for path in make("deb").split("\n")
             if path.endswith(".deb")]
    assert len(paths) == 2, paths
    return sorted(paths, key=lambda path: "-dev_" in path)


@pytest.fixture(scope="module")
def unpacked(packages, tmp_path_factory):
    """A folder with the files of both packages."""
    folder = str(tmp_path_factory.mktemp("packages"))
    for path in packages:
        run("dpkg-deb", "-x", path, folder)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder to which `make install` installed."""
    folder = str(tmp_path_factory.mktemp("installed"))
    make("install", f"DESTDIR={folder}")
    return folder


def files(folder):
    """The paths of all files below it."""
    return sorted(os.path.relpath(os.path.join(parent, name), folder)
                  for parent, _, names in os.walk(folder) for name in names)


def field(path, name):
    return run("dpkg-deb", "-f", path, name).strip()


def version():
    """The version in the sources."""
    with open(os.path.join(ROOT, "src/nginx/core/version.hpp"),
              encoding="ascii") as file:
        return re.search(r'module_version = "(.*)"', file.read()).group(1)


def test_control_fields(packages):
    module, headers = packages
    assert [field(path, "Package") for path in packages] == [
        NAME, NAME + "-dev"]
    assert {field(path, "Version") for path in packages} == {version()}
    assert field(headers, "Architecture") == "all"
    depends = field(module, "Depends")
    # The ABI of the nginx for which it was built
    with open("/usr/share/nginx/src/debian/libnginx-mod.abisubstvars",
              encoding="ascii") as file:
        abi = re.search(r"nginx:abi=(\S+)", file.read()).group(1)
    for wanted in (abi, "libc6", "libstdc++6", "libssl", "zlib1g"):
        assert wanted in depends, depends


def test_readme_has_the_version():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        changes = file.read().partition("## Changes")[2]
    assert re.search(r"### (\S+)", changes).group(1) == version()


def test_scripts_enable_and_disable_the_module(packages, tmp_path):
    run("dpkg-deb", "-e", packages[0], str(tmp_path))
    for name, act in {"postinst": "ln -sf", "prerm": ".removed",
                      "postrm": "nginx-reload"}.items():
        script = (tmp_path / name).read_text()
        assert "50-mod-http-websocket.conf" in script and act in script
    assert "nginx-reload" in (tmp_path / "postinst").read_text()


def test_packages_hold_these_files_and_no_others(unpacked):
    placed = [path for path in files(unpacked) if "/doc/" not in path]
    assert placed == sorted(
        [MODULE, LOADER]
        + [f"usr/include/nginx-websocket/{name}" for name in HEADERS])
    with open(os.path.join(unpacked, LOADER), encoding="ascii") as file:
        assert file.read() == (
            "load_module modules/ngx_http_websocket_module.so;\n")


def test_packages_hold_the_texts_of_their_readers(unpacked):
    for package, title in ((NAME, "# nginx-websocket"),
                           (NAME + "-dev", "# Writing a handler")):
        path = os.path.join(unpacked, "usr/share/doc", package, "README.md")
        if not os.path.exists(path):
            path += ".gz"  # debhelper compresses long documents
        with (gzip.open if path.endswith(".gz") else open)(
                path, "rt", encoding="utf-8") as file:
            assert file.readline().strip() == title


def test_install_places_these_files_and_no_others(installed):
    assert files(installed) == sorted(
        [f"usr/include/nginx-websocket/{name}" for name in HEADERS]
        + [path for path in files(installed) if path.endswith(
            "modules/" + os.path.basename(MODULE))])
    assert len(files(installed)) == len(HEADERS) + 1


def test_uninstall_leaves_nothing(tmp_path):
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/local")
    assert (tmp_path / "opt/local/include/nginx-websocket").is_dir()
    other = tmp_path / "opt/local/include/other.h"
    other.write_text("")
    for _ in range(2):
        make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/local")
        assert files(tmp_path) == ["opt/local/include/other.h"]
    assert not (tmp_path / "opt/local/include/nginx-websocket").exists()


def compile_outside(folder, source, language, *includes):
    """Compiles a source in a folder of its own; returns the library."""
    path = os.path.join(folder, f"plugin.{language}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(source)
    compiler = (["g++", "-std=c++20", "-fno-gnu-unique"] if language == "cpp"
                else ["gcc", "-std=c11"])
    library = path + ".so"
    run(*compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
        *includes, "-o", library, path)
    return library


def serve(nginx, monkeypatch, module, plugin, handler):
    """Starts an nginx with this module and this plug-in."""
    monkeypatch.setenv("WEBSOCKET_MODULE", module)
    return nginx(f"location /echo {{ websocket echo; }}"
                 f"location /own {{ websocket {handler}; }}",
                 http=f"websocket_plugin {plugin};")


@pytest.mark.parametrize("place, header, folder", [
    ("unpacked", "<nginx-websocket/websocket.hpp>", "usr/include"),
    ("installed", '"websocket.hpp"', "usr/include/nginx-websocket")])
def test_handler_from_outside_runs(request, nginx, monkeypatch, tmp_path,
                                   place, header, folder):
    root = request.getfixturevalue(place)
    plugin = compile_outside(str(tmp_path), GREETER.format(header=header),
                             "cpp", "-I", os.path.join(root, folder))
    module = next(path for path in files(root) if path.endswith("module.so"))
    server = serve(nginx, monkeypatch, os.path.join(root, module), plugin,
                   "minimal")
    server.connect("/own").expect_text("hello from outside")
    client = server.connect()
    client.send(wire.text("echo"))
    client.expect_text("echo")
    client.leave()


def test_examples_of_the_package_are_built_with_its_headers(
        unpacked, nginx, monkeypatch, tmp_path):
    examples = os.path.join(unpacked, "usr/share/doc", NAME + "-dev",
                            "examples")
    assert sorted(os.listdir(examples)) == ["chat.cpp", "echo_c.c"]
    for name in "chat.cpp", "echo_c.c":
        with open(os.path.join(examples, name), encoding="utf-8") as file:
            plugin = compile_outside(
                str(tmp_path), file.read(), name.rpartition(".")[2], "-I",
                os.path.join(unpacked, "usr/include/nginx-websocket"))
        server = serve(nginx, monkeypatch, os.path.join(unpacked, MODULE),
                       plugin, name.rpartition(".")[0])
        client = server.connect("/own")
        client.text("hello")
        while not client.read_frame().payload.endswith(b"hello"):
            pass
        server.stop()
