"""Renews the catalogues: ``python -m tests.translations`` (``make translations``)."""

from __future__ import annotations

import sys

from tests.translations import catalogue


def main() -> int:
    """Read every sentence anew, keep what is translated, compile, and say what is missing."""
    missing = []
    for language in catalogue.LANGUAGES:
        for domain in catalogue.DOMAINS:
            found = catalogue.renewed(language, domain)
            catalogue.write(found, language, domain)
            missing += [f"{language} {domain}: {text!r}" for text in catalogue.untranslated(found)]
    print("\n".join(missing) or "Every sentence is translated.")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
