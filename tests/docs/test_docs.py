"""What the guides say is there is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
READS = re.compile(
    r"env\.(?:text|boolean|integer|seconds|choice|words|path|https|secret)\(\s*\"(\w+)\""
)

pytestmark = pytest.mark.once


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", text)
    for target in ("".join(pair) for pair in targets):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_every_picture_says_what_it_shows() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "![](" not in text
    for tag in re.findall(r"<img[^>]*>", text):
        assert re.search(r'alt="[^"]+"', tag), tag


def test_screenshots_are_small_enough_for_a_repository() -> None:
    # The folders within hold drawings of figures, not screenshots.
    pictures = [path for path in (ROOT / "docs" / "images").iterdir() if path.is_file()]
    assert pictures
    for path in pictures:
        assert path.stat().st_size < 250_000, path.name
        assert Image.open(path).format == "PNG", path.name


def test_the_guide_names_every_setting_that_can_be_given() -> None:
    guide = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    sources = [*(ROOT / "portal" / "settings").glob("*.py"), ROOT / "portal" / "embedded.py"]
    for path in sources:
        if path.name == "test.py":
            continue
        for name in READS.findall(path.read_text(encoding="utf-8")):
            assert f"`{name}`" in guide or name == "DEBUG" or f"`{name}=" in guide, name
