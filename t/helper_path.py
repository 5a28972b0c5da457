"""Adds the helper folders of pytest.ini to the module search path, for programs
that pytest does not run."""

import configparser
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def helper_folders():
    """The folders that pytest.ini names as pythonpath."""
    config = configparser.ConfigParser()
    config.read(os.path.join(HERE, "pytest.ini"), encoding="utf-8")
    return [os.path.join(HERE, folder)
            for folder in config["pytest"]["pythonpath"].split()]


sys.path[:0] = helper_folders()
