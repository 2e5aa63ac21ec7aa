"""The command line: ``python -m ml phantom | predict | evaluate | train | release | package``.

Each command loads only what it needs, so that drawing a phantom does not wait for a model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

DEFAULT_MANIFEST = Path("../shared/cxr/manifest.csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml", description="The chest X-ray classifier.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_phantom(commands)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height or width)
    except ValueError:
        raise argparse.ArgumentTypeError("expected WIDTHxHEIGHT, such as 1024x1024") from None


def _add_phantom(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("phantom", help="draw a chest that is nobody's")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--finding", choices=("normal", "pneumonia", "covid"))
    parser.add_argument("--format", choices=("png", "jpeg", "dicom"), help="default: by the name")
    parser.add_argument("--size", type=_size, default=(1024, 1024), metavar="WxH")
    parser.set_defaults(run=_run_phantom)


def _run_phantom(options: argparse.Namespace) -> int:
    from ml import phantom

    by_name = {".jpg": "jpeg", ".jpeg": "jpeg", ".dcm": "dicom", ".dicom": "dicom"}
    kind = options.format or by_name.get(options.out.suffix.lower(), "png")
    try:
        if kind == "dicom":
            data = phantom.phantom_dicom(options.seed, options.finding, options.size)
        elif kind == "jpeg":
            data = phantom.phantom_jpeg(options.seed, options.finding, options.size)
        else:
            data = phantom.phantom_png(options.seed, options.finding, options.size)
        options.out.write_bytes(data)
    except ValueError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{options.out}: cannot be written ({error.strerror}).")
    return 0
