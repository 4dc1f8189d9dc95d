#!/usr/bin/env python3
"""Checks the notes in changes/, prints them, or moves them into CHANGELOG.md as a version.

    changelog.py check
    changelog.py print
    changelog.py release VERSION [DATE]

changes/README.md says how a note looks. Entries that stand under "Unreleased" in CHANGELOG.md itself
come before those of the notes.
"""

import datetime
import pathlib
import re
import sys

KINDS = ["added", "changed", "deprecated", "removed", "fixed", "security"]
NAME = re.compile(rf"[a-z0-9]+(-[a-z0-9]+)*\.({'|'.join(KINDS)})\.md")
VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
LONGEST = 600
UNRELEASED = "## Unreleased\n"


class Fault(Exception):
    """What is wrong, in words for whoever wrote it."""


def fault_of(name, text):
    """What is wrong with a note, or None."""
    if not NAME.fullmatch(name):
        return f"the name is not <subject>.<kind>.md with a kind of {', '.join(KINDS)}"
    body = text.removesuffix("\n")
    if not body.strip():
        return "it is empty"
    if "\n\n" in body or body != body.strip():
        return "it is not one paragraph"
    if re.match(r"([-*+]|#+|\d+\.)\s", body):
        return "it begins as a list or a heading"
    if not body.endswith("."):
        return "it does not end with a full stop"
    if len(body) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    return None


def broken_link(directory, text):
    """The link of a note that does not lead out of its directory to a file, in words, or None."""
    for target in re.findall(r"\]\(([^)]*)\)", text):
        path = target.partition("#")[0]
        if "://" not in target and not (path.startswith("../") and (directory / path).exists()):
            return f"{target} leads nowhere; links are relative to changes/, such as ../docs/scale.md"
    return None


def read_notes(root):
    """The notes by kind, in the order of their names."""
    notes = {kind: [] for kind in KINDS}
    faults = []
    for path in sorted((root / "changes").iterdir()):
        if path.name == "README.md":
            continue
        text = path.read_text(encoding="utf-8")
        fault = fault_of(path.name, text) or broken_link(path.parent, text)
        if fault:
            faults.append(f"changes/{path.name}: {fault}")
        else:
            # CHANGELOG.md is in the directory above.
            paragraph = " ".join(text.split("\n")).strip().replace("](../", "](")
            notes[path.name.split(".")[1]].append((path, paragraph))
    if faults:
        raise Fault("\n".join(faults))
    return notes


def split(changelog):
    """What stands before, under and after "Unreleased"."""
    before, mark, rest = changelog.partition(UNRELEASED)
    if not mark:
        raise Fault('CHANGELOG.md has no "## Unreleased"')
    following = re.search(r"^## ", rest, re.MULTILINE)
    end = following.start() if following else len(rest)
    return before, rest[:end], rest[end:]


def entries_of(unreleased):
    """The entries that stand under "Unreleased" already, by kind, and the words above them."""
    entries = {kind: [] for kind in KINDS}
    words, *sections = re.split(r"^### ", unreleased, flags=re.MULTILINE)
    for section in sections:
        title, _, body = section.partition("\n")
        if title.lower() not in entries:
            raise Fault(f'CHANGELOG.md: "{title}" is none of {", ".join(KINDS)}')
        entries[title.lower()] += [entry.rstrip() for entry in re.split(r"^- ", body, flags=re.MULTILINE)[1:]]
    return words.strip(), entries


def gathered(entries, notes):
    """Everything that is not released, as Markdown."""
    sections = []
    for kind in KINDS:
        texts = entries[kind] + [text for _, text in notes[kind]]
        if texts:
            sections.append(f"### {kind.capitalize()}\n\n" + "".join(f"- {text}\n" for text in texts))
    return "\n".join(sections)


def release(root, version, date):
    """Moves what is not released into CHANGELOG.md under a version, and deletes the notes."""
    if not VERSION.fullmatch(version):
        raise Fault(f"{version} is not a version")
    notes = read_notes(root)
    path = root / "CHANGELOG.md"
    before, unreleased, after = split(path.read_text(encoding="utf-8"))
    if f"## {version} " in after:
        raise Fault(f"CHANGELOG.md has {version} already")
    words, entries = entries_of(unreleased)
    text = gathered(entries, notes)
    if not text:
        raise Fault("there is nothing to release")
    head = before + UNRELEASED + (f"\n{words}\n" if words else "")
    path.write_text(f"{head}\n## {version} - {date}\n\n{text}" + (f"\n{after}" if after else ""), encoding="utf-8")
    for kind in KINDS:
        for note, _ in notes[kind]:
            note.unlink()


def main(arguments):
    root = pathlib.Path(__file__).resolve().parent.parent
    command, values = (arguments or [""])[0], arguments[1:]
    if command in ("check", "print") and not values:
        _, entries = entries_of(split((root / "CHANGELOG.md").read_text(encoding="utf-8"))[1])
        text = gathered(entries, read_notes(root))
        if command == "print":
            print(text, end="")
    elif command == "release" and len(values) in (1, 2):
        release(root, values[0], values[1] if len(values) == 2 else datetime.date.today().isoformat())
    else:
        raise Fault(__doc__.strip())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Fault as fault:
        sys.exit(f"changelog.py: {fault}")
