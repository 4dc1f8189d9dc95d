#!/usr/bin/env python3
"""The format of a note, and the release that gathers notes."""

import pathlib
import tempfile
import unittest

import changelog

HEAD = "# Changelog\n\nWords.\n\n"
OLD = "## 0.1.0 - 2026-01-01\n\n### Added\n\n- Everything.\n"


class Notes(unittest.TestCase):
    def test_a_note_is_one_paragraph_with_a_kind(self):
        self.assertIsNone(changelog.fault_of("import-start.added.md", "It starts\nwhat it imports.\n"))
        for name, text, word in [
            ("import-start.new.md", "It starts.\n", "kind"),
            ("Import.added.md", "It starts.\n", "name"),
            ("import.added.txt", "It starts.\n", "name"),
            ("a.added.md", "\n", "empty"),
            ("a.added.md", "One.\n\nTwo.\n", "paragraph"),
            ("a.added.md", "One.\n\n", "paragraph"),
            ("a.added.md", "- One.\n", "list"),
            ("a.added.md", "## One.\n", "list"),
            ("a.added.md", "One\n", "full stop"),
            ("a.added.md", "One. " * 200 + "One.\n", "longer"),
        ]:
            with self.subTest(name=name, text=text[:20]):
                self.assertIn(word, changelog.fault_of(name, text) or "")


class Release(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        (self.root / "changes").mkdir()
        self.write("changes/README.md", "How.\n")

    def write(self, name, text):
        (self.root / name).write_text(text, encoding="utf-8")

    def changelog(self):
        return (self.root / "CHANGELOG.md").read_text(encoding="utf-8")

    def test_notes_follow_what_stood_under_unreleased_and_are_gone(self):
        self.write("CHANGELOG.md", f"{HEAD}## Unreleased\n\nSee changes/.\n\n### Changed\n\n- Old\n  words.\n\n{OLD}")
        self.write("changes/b.changed.md", "New\nwords.\n")
        self.write("changes/a.fixed.md", "A fault.\n")
        changelog.release(self.root, "0.2.0", "2026-02-03")
        expected = (
            f"{HEAD}## Unreleased\n\nSee changes/.\n\n## 0.2.0 - 2026-02-03\n\n"
            "### Changed\n\n- Old\n  words.\n- New words.\n\n### Fixed\n\n- A fault.\n\n" + OLD
        )
        self.assertEqual(self.changelog(), expected)
        self.assertEqual([path.name for path in (self.root / "changes").iterdir()], ["README.md"])

    def test_links_lead_from_the_note_and_then_from_the_changelog(self):
        self.write("CHANGELOG.md", f"{HEAD}## Unreleased\n\n{OLD}")
        self.write("words.md", "Words.\n")
        self.write("changes/a.fixed.md", "See [words](../words.md#here) and [them](https://example.org/).\n")
        self.write("changes/b.fixed.md", "See [words](words.md).\n")
        with self.assertRaisesRegex(changelog.Fault, "b.fixed.md: words.md leads nowhere"):
            changelog.read_notes(self.root)
        (self.root / "changes/b.fixed.md").unlink()
        changelog.release(self.root, "0.2.0", "2026-02-03")
        self.assertIn("- See [words](words.md#here) and [them](https://example.org/).\n", self.changelog())

    def test_nothing_is_written_when_something_is_wrong(self):
        before = f"{HEAD}## Unreleased\n\n{OLD}"
        self.write("CHANGELOG.md", before)
        with self.assertRaisesRegex(changelog.Fault, "nothing to release"):
            changelog.release(self.root, "0.2.0", "2026-02-03")
        self.write("changes/a.fixed.md", "A fault.\n")
        for version, word in [("0.1.0", "already"), ("two", "not a version")]:
            with self.assertRaisesRegex(changelog.Fault, word):
                changelog.release(self.root, version, "2026-02-03")
        self.write("changes/b.fixed.md", "No stop\n")
        with self.assertRaisesRegex(changelog.Fault, "b.fixed.md"):
            changelog.release(self.root, "0.2.0", "2026-02-03")
        self.assertEqual(self.changelog(), before)
        self.assertTrue((self.root / "changes/a.fixed.md").exists())


if __name__ == "__main__":
    unittest.main()
