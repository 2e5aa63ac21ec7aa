"""The viewer's script is what its sources and locked packages make, byte for byte."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "viewer"
BUILT = ROOT / "static" / "viewer"
IN_CI = os.environ.get("CI", "").lower() == "true"

pytestmark = pytest.mark.once


def made_of() -> dict[str, str]:
    lines = (BUILT / "MADE-OF.txt").read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_the_committed_bundle_was_made_of_the_committed_sources() -> None:
    """Needs no Node: whoever changes a source and forgets `make viewer` is told here."""
    there = {
        path.relative_to(SOURCES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (
            SOURCES / "package-lock.json",
            *SOURCES.glob("*.mjs"),
            *(SOURCES / "src").iterdir(),
        )
    }
    there["viewer.js"] = hashlib.sha256((BUILT / "viewer.js").read_bytes()).hexdigest()
    assert there == made_of()


def test_packages_are_locked_and_the_lock_names_no_machine() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    wanted = json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))
    assert lock["packages"][""]["dependencies"] == wanted["dependencies"]
    for name, entry in lock["packages"].items():
        assert "resolved" not in entry, name
        assert not name or entry["integrity"].startswith("sha512-"), name
    for version in {**wanted["dependencies"], **wanted["devDependencies"]}.values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_every_package_in_the_bundle_brings_its_licence() -> None:
    notices = (BUILT / "NOTICES.txt").read_text(encoding="utf-8")
    for name in ("@cornerstonejs/core", "@cornerstonejs/tools", "@kitware/vtk.js", "gl-matrix"):
        assert re.search(rf"^{re.escape(name)} \d+\.\d+\.\d+ \(", notices, re.MULTILINE), name
    assert "GPL" not in re.findall(r"\((.*)\)$", notices, re.MULTILINE)


def test_the_bundle_keeps_to_the_content_policy() -> None:
    script = (BUILT / "viewer.js").read_text(encoding="utf-8")
    assert "new Function(" not in script
    assert not re.search(r"(?<![\w.$])eval\(", script)
    assert 'setAttribute("style"' not in script
    assert "WebAssembly" not in script
    assert len(script) < 1_500_000, "it has grown: what came in?"


def test_building_it_again_gives_the_same_bytes(tmp_path: Path) -> None:
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        assert not IN_CI, missing
        pytest.skip(f"{' and '.join(missing)} not installed")
    copy = tmp_path / "viewer"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
    fetched = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if fetched.returncode != 0:
        assert not IN_CI, fetched.stderr
        pytest.skip("the packages could not be fetched")
    subprocess.run(["node", "build.mjs", str(tmp_path / "out")], cwd=copy, check=True, timeout=60)
    for path in BUILT.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name
