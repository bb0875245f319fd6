"""What is public changes only where it is said."""

from __future__ import annotations

import difflib

from support.public_names import FILE, documented, text

import crossrank


def test_no_public_name_changed_unannounced() -> None:
    committed, now = FILE.read_text(encoding="utf-8"), text()
    change = "\n".join(difflib.unified_diff(committed.splitlines(), now.splitlines(), lineterm="", n=0))
    assert not change, (
        f"public names changed:\n{change}\nIf that is meant, say so in CHANGELOG.md (docs/stability.md has "
        "the rules), and run python tests/support/public_names.py"
    )


def test_every_name_that_the_package_exports_has_its_page() -> None:
    pages = {name.rpartition(".")[2] for name in documented()}
    assert set(crossrank.__all__) <= pages


def test_the_list_has_the_members_of_classes() -> None:
    assert "  rank(self, query: 'str'," in text()
    assert "class crossrank.InputError(CrossrankError, ValueError)" in text()
