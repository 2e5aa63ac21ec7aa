"""Looks for barriers in the page at hand with axe-core, which lies beside the tests."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parent / "vendor" / "axe-core-4.14.1"
# WCAG 2.0 and 2.1, levels A and AA.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
_RUN = """
async (tags) => {
  const found = await axe.run(document, {
    runOnly: {type: "tag", values: tags}, resultTypes: ["violations"],
  });
  return found.violations.map((one) => ({
    id: one.id,
    help: one.help,
    nodes: one.nodes.map((node) => node.target.join(" ") + ": " + node.failureSummary),
  }));
}
"""


@lru_cache(maxsize=1)
def source() -> str:
    """The script, if it is the very one that its README names."""
    content = (FOLDER / "axe.min.js").read_bytes()
    known = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(content).hexdigest() in known, "axe.min.js is not what was vendored"
    return content.decode("utf-8")


def barriers(page: Page) -> list[str]:
    """What stands in somebody's way on the page, one line for each place."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(source())
    lines = []
    for one in page.evaluate(_RUN, TAGS):
        for node in one["nodes"]:
            lines.append(f"{one['id']} ({one['help']}): {json.dumps(node, ensure_ascii=False)}")
    return lines
