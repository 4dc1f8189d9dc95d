"""Loads the Autobahn test suite, which is written in Python 2, into Python 3.

In Python 2 a text is a sequence of bytes. So the suite's files are read here as Latin-1, in which each
character is one byte, and all that is text to the suite remains that: payloads are compared, cut and joined
as they were. Only where the suite meets the `autobahn` library, which takes bytes, they are converted
(`Client`). What is left to do is syntax and names that are gone from Python, for which lines are rewritten;
a rule that fits nowhere any more is an error.
"""

import binascii
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import re
import sys
import types
from pathlib import Path

NAME = "autobahntestsuite"

# In all files.
SYNTAX = [
    (r"^(\s*)print (.+)$", r"\1print(\2)"),
    (r"\bxrange\(", "range("),
    (r"\bunichr\(", "chr("),
    (r"([\w.]+(?:\[\w+\])?)\.has_key\(([^()]*)\)", r"(\2 in \1)"),
    (r"^(\s*except \w+), (\w+):", r"\1 as \2:"),
    (r"^(\s*)from (case\w*|caseset|report) import", r"\1from .\2 import"),
    # Every class derives from `object` now, and it must come last.
    (r"\(object, Case, \)", "(Case,)"),
    # Takes and gives text.
    (r"\bbinascii\.b2a_hex\(", "hexadecimal("),
]

# In one file: what must be found there, and what to put in its place.
PATCHES = {
    "fuzzing": [
        ("from twisted.internet import reactor, ssl", "from twisted.internet import reactor"),
        ("ssl.ClientContextFactory()", "None"),
        # Newer Pythons do not have it, and it is wanted for the suite's web pages alone.
        ("textwrap, pkg_resources", "textwrap"),
        ("WebSocketClientFactory.__init__(self, debug = debug, debugCodePaths = debug)",
         "WebSocketClientFactory.__init__(self)"),
        ("dd.decode('utf8',", "dd.encode('latin-1').decode('utf8',"),
    ],
    # Cases of compression, which no client is offered.
    "case": [("from .case12_x_x import *",
              "Case12_X_X, Case12_X_X_CaseSubCategories, Case13_X_X, Case13_X_X_CaseSubCategories = [], {}, [], {}")],
    # Equal texts are not always pickled alike, one object appearing twice or two once.
    "case.case": [("pickle.dumps(obj1) == pickle.dumps(obj2)", "obj1 == obj2")],
    "case.case6_x_x": [("v.validate(vss[:i])", "v.validate(vss[:i].encode('latin-1'))")],
    "case.case9_9_1": [("from zope.interface import implements\n", ""),
                       ("implements(interfaces.IPushProducer)", "pass")],
    "case.case10_1_1": [("len(self.payload) / self.p", "len(self.payload) // self.p")],
}


def hexadecimal(data):
    return binascii.b2a_hex(data.encode("latin-1") if isinstance(data, str) else data).decode("ascii")


def translated(module, text):
    for pattern, replacement in SYNTAX:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    for old, new in PATCHES.get(module, []):
        if text.count(old) != 1:
            raise ImportError(f"{module}: expected once: {old}")
        text = text.replace(old, new)
    return text


class Loader(importlib.abc.Loader):
    def __init__(self, path):
        self.path = path

    def exec_module(self, module):
        name = module.__name__.removeprefix(NAME + ".")
        code = translated(name, self.path.read_text(encoding="latin-1"))
        module.__dict__["hexadecimal"] = hexadecimal
        exec(compile(code, str(self.path), "exec"), module.__dict__)


class Finder(importlib.abc.MetaPathFinder):
    def __init__(self, directory):
        self.directory = directory

    def find_spec(self, name, path, target=None):
        if not name.startswith(NAME + "."):
            return None
        base = self.directory.joinpath(*name.split(".")[1:])
        for file, is_package in [(base / "__init__.py", True), (base.with_suffix(".py"), False)]:
            if file.exists():
                spec = importlib.machinery.ModuleSpec(name, Loader(file), origin=str(file), is_package=is_package)
                if is_package:
                    spec.submodule_search_locations.append(str(base))
                return spec
        return None


def bare(name, directory):
    """A package without what its `__init__.py` imports."""
    package = types.ModuleType(name)
    package.__path__ = [str(directory)]
    sys.modules[name] = package
    return package


def load():
    """The suite's `fuzzing` module: its fuzzing client, its cases and its reports."""
    # It would import all of WAMP, and cryptography for it.
    import autobahn
    bare("autobahn.twisted", Path(autobahn.__file__).parent / "twisted")
    files = importlib.metadata.files(NAME)
    directory = Path(next(f for f in files if f.name == "fuzzing.py").locate()).resolve().parent
    # It would import all modes of the suite.
    bare(NAME, directory).version = importlib.metadata.version(NAME)
    # Its pages need a template engine.
    report = bare(NAME + ".report", directory)
    report.CSS_COMMON = report.CSS_DETAIL_REPORT = report.CSS_MASTER_REPORT = report.JS_MASTER_REPORT = ""
    sys.meta_path.insert(0, Finder(directory))
    return importlib.import_module(NAME + ".fuzzing")
