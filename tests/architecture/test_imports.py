"""Who may import what; and every gate has been seen to close."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(sys.executable).parent
ENGINE = "screening/inference/engine.py"
# Says which packages are installed and whether they are whole; loads none.
PACKAGES = "screening/inference/packages.py"
# Reads what a package's thresholds are worth; loads none.
CURVES = "screening/inference/curves.py"
# May count with operating points and draw figures, neither of which looks into a model.
COUNTING_ROOMS = ("screening/governance/",)
COUNTING_MODULES = {"ml", "ml.operating", "ml.figures"}
# Draws model cards from what was recorded; no model is looked into.
CARDS = "screening/record/model_cards.py"
CARD_MODULES = {"ml", "ml.card", "ml.card_file", "ml.figures"}
MODEL_MODULES = {"ml.predict", "ml.explain", "ml.package"}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAMS / "lint-imports"), "--no-cache", "--config", "pyproject.toml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def imported_modules(path: Path) -> Iterator[str]:
    """The modules a file imports, at its top or anywhere inside; ``from a import b`` gives both."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def model_imports(folder: Path) -> list[str]:
    """Files of the portal that look into the model although they are not the engine."""
    found = []
    for room in ("portal", "screening"):
        for path in sorted((folder / room).rglob("*.py")):
            name = path.relative_to(folder).as_posix()
            modules = {module for module in imported_modules(path) if module.startswith("ml")}
            if name.startswith("portal/selftest/"):  # It draws chests; that needs no model.
                modules = {module for module in modules if not module.startswith("ml.phantom")}
            allowed = {"ml", "ml.imaging"} if name.startswith("screening/studies/") else set()
            strange = {
                module
                for module in modules
                if module not in allowed and not module.startswith("ml.imaging.")
            }
            if not name.startswith("screening/studies/"):
                strange = modules
            if name == CARDS:
                drawing = tuple(f"{module}." for module in CARD_MODULES - {"ml"})
                strange = {
                    module for module in modules - CARD_MODULES if not module.startswith(drawing)
                }
            if name.startswith(COUNTING_ROOMS):
                counting = tuple(f"{module}." for module in COUNTING_MODULES - {"ml"})
                strange = {
                    module
                    for module in modules - COUNTING_MODULES
                    if not module.startswith(counting)
                }
            if strange and name not in (ENGINE, PACKAGES, CURVES):
                found.append(f"{name}: {', '.join(sorted(strange))}")
    return found


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code in which a test may do what is forbidden."""
    ignore = shutil.ignore_patterns("__pycache__", "models", "vendor")
    for name in ("portal", "screening", "ml"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.write(f"\n{line}\n")


def test_the_import_contracts_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("path", "line", "contract"),
    [
        ("screening/core/errors.py", "import screening.audit.models", "Each floor"),
        ("screening/patients/models.py", "import screening.studies.models", "Each floor"),
        ("screening/studies/models.py", "import screening.inference.models", "Each floor"),
        ("screening/core/errors.py", "import portal.env", "No app imports the project"),
        ("ml/preprocess.py", "import django", "The CNN is usable"),
        ("ml/preprocess.py", "import screening.core.errors", "The CNN is usable"),
        ("screening/record/views.py", "import ml.package", "Only screening.inference.engine"),
    ],
)
def test_each_contract_closes_on_a_violation(
    copy: Path, path: str, line: str, contract: str
) -> None:
    append(copy / path, line)
    done = lint_imports(copy)
    assert done.returncode != 0
    assert any(contract in row and "BROKEN" in row for row in done.stdout.splitlines())


def test_only_the_engine_looks_into_the_model() -> None:
    assert model_imports(ROOT) == []
    assert MODEL_MODULES & set(imported_modules(ROOT / ENGINE))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("screening/studies/services.py", "from ml import package"),
        ("screening/studies/services.py", "from ml.predict import predict"),
        ("screening/record/model_cards.py", "from ml.predict import Predictor"),
        ("screening/record/selectors.py", "import ml.card"),
        ("screening/inference/services.py", "import ml.imaging"),
        ("screening/governance/roc.py", "from ml.trust import load_trust"),
        ("portal/selftest/corpus.py", "from ml.predict import Predictor"),
        ("portal/health.py", "def late():\n    from ml.package import load"),
    ],
)
def test_the_engine_rule_closes_on_a_violation(copy: Path, path: str, line: str) -> None:
    append(copy / path, line)
    assert any(found.startswith(path) for found in model_imports(copy))


@pytest.mark.parametrize(
    "first", ["portal.urls", "portal.celery", "portal.wsgi", "screening.inference.tasks"]
)
def test_web_processes_load_no_tensorflow(first: str) -> None:
    """Neither TensorFlow nor the LiteRT runtime: they would cost every web process its memory."""
    code = (
        "import sys, django; django.setup(); import importlib; "
        f"importlib.import_module({first!r}); "
        "from django.urls import get_resolver; get_resolver().url_patterns; "
        "print([n for n in ('tensorflow', 'keras', 'ai_edge_litert') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_tensorflow_is_imported_inside_functions_only() -> None:
    for room in ("portal", "screening"):
        for path in (ROOT / room).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in tree.body:
                names = []
                if isinstance(node, ast.Import):
                    names = [name.name for name in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                heavy = {name.split(".")[0] for name in names}
                assert not heavy & {"tensorflow", "keras", "ai_edge_litert"}, path


def ruff(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    path = folder / "screening_example.py"
    path.write_text(source, encoding="utf-8")
    return subprocess.run(
        [str(PROGRAMS / "ruff"), "check", "--config", str(ROOT / "pyproject.toml"), str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_raw_shared_task_is_banned_with_the_reason(tmp_path: Path) -> None:
    done = ruff(
        tmp_path,
        "from celery import shared_task\n\n\n@shared_task\ndef work() -> None:\n    pass\n",
    )
    assert done.returncode != 0
    assert "TID251" in done.stdout
    assert "portal_task" in done.stdout


def test_the_security_rules_are_on(tmp_path: Path) -> None:
    done = ruff(tmp_path, "import subprocess\n\nsubprocess.run('ls', shell=True)\n")
    assert "S602" in done.stdout or "S604" in done.stdout


def test_no_file_grows_without_end() -> None:
    """Near 400 lines a module wants to be two."""
    for room in ("portal", "screening", "ml", "bench"):
        for path in (ROOT / room).rglob("*.py"):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= 450, f"{path.relative_to(ROOT)} has {lines} lines"


def test_nothing_is_called_utils() -> None:
    names = [
        path.name for room in ("portal", "screening", "ml") for path in (ROOT / room).rglob("*")
    ]
    assert not {"utils.py", "helpers.py", "misc.py"} & set(names)
