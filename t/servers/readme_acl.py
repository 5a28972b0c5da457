"""The Redis user of README.md."""

import os
import re
import shlex

from nginx_server import ROOT


def acl_command():
    """The arguments of the ACL command in README.md, with its lines joined."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        found = re.search(r"^    (ACL SETUSER .*(?:\n        .*)*)",
                          file.read(), re.MULTILINE)
    return shlex.split(found.group(1), comments=False)
