"""Comments and names of src and t are in plain English.

Each sentence of a comment opens with its subject, not with "What" or "Who".
Comments and identifiers avoid words with a vague or private meaning.
"""

import ast
import io
import os
import re
import tokenize

import pytest

from nginx_server import ROOT

FOLDERS = ["src", "t"]
SLASHES = (".cpp", ".hpp", ".h", ".c", ".js", ".mjs", ".css")
HASHES = (".py", ".sh", ".mk")

OPENING = re.compile(r"(What|Who|Whoever|Whose|Where)\b[^?]*$")
SENTENCE_END = re.compile(r"(?<=[.:!?])\s+|\n\s*\n")

# Not allowed in comments, with the words to use instead.
WORDS = {
    "told": "reported, sent", "tell": "report, send", "tells": "reports",
    "telling": "reporting", "heard": "received", "hear": "receive",
    "hears": "receives", "judge": "check", "judges": "checks",
    "judged": "checked", "anew": "again", "whoever": "the one that",
    "news": "unread messages", "lent": "valid until, borrowed",
}
# Not allowed in identifiers. "settled" describes promises in JavaScript.
PARTS = {
    "told", "tell", "said", "heard", "hear", "judge", "unsettled", "lent",
    "news", "bury", "tally", "complain", "waker", "wakers", "goer", "goers",
    "crowd", "crowds", "crowded", "deaf", "made",
}

C_TOKEN = re.compile(
    r'(?P<comment>//[^\n]*|/\*.*?\*/)|R"(\w*)\(.*?\)\2"|"(?:\\.|[^"\\\n])*"'
    r"|'(?:\\.|[^'\\\n])*'|(?P<name>[A-Za-z_]\w*)", re.DOTALL)
HASH_COMMENT = re.compile(r"(?m)^[ \t]*#(.*)$")


def sources():
    """Paths of files with comments below FOLDERS."""
    for folder in FOLDERS:
        for path, _, names in os.walk(os.path.join(ROOT, folder)):
            within = os.path.relpath(path, ROOT)
            yield from (os.path.join(within, name) for name in names
                        if name.endswith(SLASHES + HASHES))


def of_c(text):
    """(comments, identifiers) of C, C++, JavaScript or CSS, with their
    lines."""
    comments, names = [], []
    for found in C_TOKEN.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found["comment"]:
            words = re.sub(r"^\s*(//|/?\*+/?)|\*/$", "", found["comment"],
                           flags=re.MULTILINE)
            comments.append((line, words))
        elif found["name"]:
            names.append((line, found["name"]))
    return comments, names


def of_python(text):
    """(comments and docstrings, identifiers) of Python."""
    comments, names = [], []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            comments.append((token.start[0], token.string[1:]))
        elif token.type == tokenize.NAME:
            names.append((token.start[0], token.string))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) \
                and ast.get_docstring(node):
            comments.append((node.body[0].lineno, ast.get_docstring(node)))
    return sorted(comments), names


def of_source(path, text):
    if path.endswith(".py"):
        return of_python(text)
    if path.endswith(HASHES):
        return [(text.count("\n", 0, found.start()) + 1, found[1])
                for found in HASH_COMMENT.finditer(text)], []
    return of_c(text)


def joined(comments):
    """Joins comments on consecutive lines."""
    texts = []
    end = 0
    for line, words in comments:
        if texts and line == end + 1:
            texts[-1][1] += "\n" + words
        else:
            texts.append([line, words])
        end = line + words.count("\n")
    return texts


def faults(path, text):
    """Sentences and words that break the rules, with their lines."""
    comments, names = of_source(path, text)
    found = []
    for line, words in joined(comments):
        for sentence in SENTENCE_END.split(words.strip()):
            sentence = " ".join(sentence.split())
            if OPENING.match(sentence):
                found.append(f"{path}:{line}: {sentence[:70]}")
        found += [f"{path}:{line}: {word}: use {WORDS[word.lower()]}"
                  for word in re.findall(r"[A-Za-z]+", words)
                  if word.lower() in WORDS]
    found += [f"{path}:{line}: {name}" for line, name in names
              if PARTS & set(name.lower().split("_"))]
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_comments_and_names_are_plain(folder):
    found = []
    for path in sources():
        if path.startswith(folder + os.sep) and \
                path != os.path.relpath(__file__, ROOT):
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                found += faults(path, file.read())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path, text", [
    ("a.cpp", "// What is read here.\n"),
    ("a.hpp", "int a; // Reads. Whose is it\n"),
    ("a.c", "/*\n * Where it goes.\n */\n"),
    ("a.py", '"""Reads.\n\nWho reads it."""\n'),
    ("a.sh", "# Is told.\n"),
    ("a.cpp", "int told_all;\n"),
    ("a.hpp", "const subscribed made = join();\n"),
    ("a.py", "def wait_told():\n    pass\n"),
])
def test_fault_is_found(path, text):
    assert len(faults(path, text)) == 1


@pytest.mark.parametrize("path, text", [
    ("a.cpp", '// Reads.\nconst char *words = "// What is told";\n'),
    ("a.py", 'WORDS = "what is told"\n# Reads what is there.\n'),
    ("a.js", "const settled = 1; // What now?\n"),
])
def test_plain_text_is_accepted(path, text):
    assert faults(path, text) == []
