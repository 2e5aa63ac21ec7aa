"""``python -m ml card``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

OUT: Final = Path("docs/model-card.md")


def add_card(commands: Any) -> None:
    """Add the command ``card``."""
    parser = commands.add_parser("card", help="write the model card from what was recorded")
    parser.add_argument("--package", type=Path, metavar="DIR", help="default: the one in use")
    parser.add_argument(
        "--evaluation", type=Path, action="append", metavar="JSON", help="of ml evaluate"
    )
    parser.add_argument(
        "--bench", type=Path, action="append", metavar="JSON", help="of ml bench, pointing, trust"
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="MD")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from ml.card_file import CardError, find_inputs, write_card
    from ml.package import PackageError, load_package
    from ml.recipes.cli import fail

    try:
        package = load_package(options.package)
        inputs = find_inputs(package.path, options.evaluation, options.bench)
        written = write_card(options.out, package.manifest, inputs)
    except PackageError as error:
        return fail(f"{error.code}: {error.message}")
    except CardError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename}: cannot be used ({error.strerror}).")
    print(f"{options.out} and {len(written) - 1} pictures")
    return 0
