"""The catalogues under ``locale/``: what can be translated, and what is.

Made with Babel, so that neither developers nor ``make run`` need GNU gettext; the compiled files
are committed. Django's ``makemessages`` calls ``xgettext``; here the same templates are turned
into Python by Django's own ``templatize`` and read by Babel.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent.parent
LANGUAGES = ("de",)
DOMAINS = ("django", "djangojs")
PYTHON = ("portal", "screening")
SCRIPTS = ("static/js",)
# Under other names where both the prompt and the lazy one are needed.
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
PLACE = re.compile(r"%\((\w+)\)[sd]|\{(\w*)[^}]*\}|%%")

MADE = datetime(2026, 1, 1, tzinfo=UTC)  # Babel writes a moment into each file.
_NOISE = r'"(POT-Creation-Date|PO-Revision-Date|Generated-By|Report-Msgid|Last-Tr|Language-Team)'

Found = tuple[str, int, Any, str | None]


def path_of(language: str, domain: str) -> Path:
    return ROOT / "locale" / language / "LC_MESSAGES" / f"{domain}.po"


def sentences(domain: str) -> Iterator[Found]:
    """Every sentence of the code: the file, the line, the message (or its forms), its context."""
    if domain == "djangojs":
        for folder in SCRIPTS:
            for path in sorted((ROOT / folder).rglob("*.js")):
                yield from _read("javascript", path, path.read_bytes())
        return
    for folder in PYTHON:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield from _read("python", path, path.read_bytes())
    for folder in ("templates", "portal/templates"):
        for path in sorted((ROOT / folder).rglob("*.*")):
            if path.suffix in (".html", ".txt"):
                yield from _read("python", path, as_python(path.read_text(encoding="utf-8")))


def as_python(template: str) -> bytes:
    """A template's sentences as calls, one line each, at the lines where they stand."""
    # What surrounds the calls is filler, whose indentation would mean something to a tokenizer.
    lines = templatize(template).splitlines()
    return "\n".join(" ".join(_calls(line)) for line in lines).encode()


def _calls(line: str) -> list[str]:
    string = r"u?(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    return re.findall(rf"\b(?:n?p?gettext|_)\(\s*{string}(?:\s*,\s*(?:{string}|count))*\s*\)", line)


def _read(method: str, path: Path, source: bytes) -> Iterator[Found]:
    name = path.relative_to(ROOT).as_posix()
    for line, message, _comments, context in extract(method, io.BytesIO(source), KEYWORDS):
        yield name, line, message, context


def renewed(language: str, domain: str) -> Catalog:
    """The sentences of the code with the translations that stand in the file."""
    template = Catalog(fuzzy=False)
    for name, _line, message, context in sentences(domain):
        texts = [message] if isinstance(message, str) else list(message)
        flags = ["python-format"] if any("%(" in text for text in texts) else []
        template.add(message, locations=[(name, None)], flags=flags, context=context)
    path = path_of(language, domain)
    if path.exists():
        with path.open("rb") as handle:
            catalogue = read_po(handle, locale=language, domain=domain)
    else:
        catalogue = Catalog(locale=language, domain=domain, fuzzy=False)
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.header_comment = f"# The sentences of ThoraScreen in {language!r}: {domain}."
    catalogue.project, catalogue.version = "ThoraScreen", "1"
    return catalogue


def write(catalogue: Catalog, language: str, domain: str) -> None:
    """Write the catalogue and, beside it, its compiled form."""
    path = path_of(language, domain)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_po(catalogue))
    path.with_suffix(".mo").write_bytes(compiled(catalogue))


def as_po(catalogue: Catalog) -> bytes:
    out = io.BytesIO()
    write_po(out, catalogue, width=100, sort_output=True, omit_header=False, include_lineno=False)
    # The header's dates would make every renewal a change.
    lines = out.getvalue().decode().splitlines()
    kept = [x for x in lines if not re.match(_NOISE, x)]
    return ("\n".join(kept).strip() + "\n").encode()


def compiled(catalogue: Catalog) -> bytes:
    """The compiled form; the same sentences give the same bytes, whatever the day."""
    out = io.BytesIO()
    plain = _from_po(as_po(catalogue), catalogue)
    plain.creation_date = plain.revision_date = MADE
    write_mo(out, plain)
    return out.getvalue()


def _from_po(text: bytes, like: Catalog) -> Catalog:
    return read_po(io.BytesIO(text), locale=like.locale_identifier, domain=like.domain)


def translations(message: Message) -> list[str]:
    """The one translation, or one for each plural form; empty where there is none."""
    found = message.string or ""
    return [found] if isinstance(found, str) else list(found)


def untranslated(catalogue: Catalog) -> list[str]:
    """The sentences without a translation, in the order of the file."""
    return [
        str(message.id)
        for message in catalogue
        if message.id and (message.fuzzy or not all(translations(message)))
    ]


def places(text: str) -> set[str]:
    """What a sentence leaves open: ``%(name)s`` and ``{name}``."""
    return {match[1] or match[2] or "" for match in PLACE.finditer(text)} - {""}
