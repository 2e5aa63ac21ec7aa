"""How names and record numbers are tidied, and how they are compared.

Databases disagree about upper and lower case (SQLite knows ASCII only, PostgreSQL asks its
locale), so the comparison keys are made here, once, and stored beside the values.
"""

from __future__ import annotations

import unicodedata

# Joiners are letters' business in Persian and in Indian scripts; every other invisible character
# could only make two different names look the same.
_JOINERS = frozenset("\u200c\u200d")


def tidy(text: str) -> str:
    """Composed form (NFC), no white space at the ends, single spaces within."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def tidy_mrn(text: str) -> str:
    """As ``tidy``, and full-width digits and letters become plain ones (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def has_hidden_characters(text: str, *, joiners: bool = True) -> bool:
    """Whether ``text`` holds control, formatting, private or unassigned characters.

    ``joiners`` says that joiners between letters do not count as such.
    """
    allowed = _JOINERS if joiners else frozenset()
    return any(unicodedata.category(c).startswith("C") and c not in allowed for c in text)


def without_hidden_characters(text: str) -> str:
    """``text`` as a search may use it: what nobody can see cannot be meant."""
    return "".join(c for c in text if c.isspace() or not has_hidden_characters(c))


def name_key(text: str) -> str:
    """What two spellings of a name share: ``Müller`` and ``MULLER`` are both ``muller``."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    # Decomposing can bring forth capitals (ℌ → H), so the case is folded once more.
    return " ".join(bare.casefold().split())


def mrn_key(text: str) -> str:
    """What makes two record numbers the same one: case and width do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
