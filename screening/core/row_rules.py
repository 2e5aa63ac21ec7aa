"""Which rows of a table a web request may touch, as PostgreSQL's policies say it.

Every table from which a foreign key leads to a site or a patient declares one of the rules below as
``row_security`` on its model, beside its columns; a test fails for one that declares nothing.
``screening.core.row_policies`` makes policies of them, ``screening.core.row_security`` says for
whom they hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Model

SITES, PATIENTS, PERSON = "thorascreen.sites", "thorascreen.patients", "thorascreen.person"
"""The session settings that a request writes and that policies read; empty lets nothing through."""


@dataclass(frozen=True)
class BySite:
    """Rows of the person's sites; to read also those of a patient opened in an emergency.

    ``site`` is the column with the site. The patient stands in the column ``patient``, or is found
    through the foreign key ``through``; where neither is given an emergency opens nothing here.
    ``person`` is a column with somebody who reads the row wherever it belongs, ``other_sites`` are
    columns with sites whose people read it too.
    """

    site: str = "site_id"
    patient: str = ""
    through: str = ""
    person: str = ""
    other_sites: tuple[str, ...] = ()


@dataclass(frozen=True)
class Through:
    """Rows without a site of their own: they go with what the foreign key ``field`` names."""

    field: str


@dataclass(frozen=True)
class NotLimited:
    """Rows that every request may read and write; ``reason`` says why that is no harm."""

    reason: str


Rule = BySite | Through | NotLimited


def rule_of(model: type[Model]) -> Rule | None:
    """What the model declares; None where it declares nothing."""
    found: Rule | None = getattr(model, "row_security", None)
    return found


def readable(model: type[Model], row: str) -> str:
    """The condition under which ``row`` (an alias of the model's table) is shown."""
    rule = rule_of(model)
    if isinstance(rule, Through):
        # The parent's own policy is asked by the database, and knows of emergencies too.
        return _exists(model, rule.field, row, lambda parent, alias: "true")
    own, opened = writable(model, row), opened_by_emergency(model, row)
    conditions = [own, *([opened] if opened else [])]
    if isinstance(rule, BySite):
        conditions += [_is_among(f"{row}.{column}", SITES) for column in rule.other_sites]
    if isinstance(rule, BySite) and rule.person:
        person = f"(SELECT nullif(current_setting('{PERSON}', true), '')::uuid)"
        conditions.append(f"{row}.{rule.person} = {person}")
    return " OR ".join(conditions)


def writable(model: type[Model], row: str) -> str:
    """The condition under which ``row`` may be written, before and after."""
    rule = rule_of(model)
    if isinstance(rule, BySite):
        return _is_among(f"{row}.{rule.site}", SITES)
    if isinstance(rule, Through):
        return _exists(model, rule.field, row, writable)
    raise TypeError(f"{model._meta.label} is not limited")


def opened_by_emergency(model: type[Model], row: str) -> str:
    """The condition under which ``row`` belongs to an opened patient; empty where never."""
    rule = rule_of(model)
    if isinstance(rule, BySite) and rule.patient:
        return _is_among(f"{row}.{rule.patient}", PATIENTS)
    if isinstance(rule, BySite) and rule.through:
        return _exists(model, rule.through, row, opened_by_emergency)
    return ""


def _exists(model: type[Model], field_name: str, row: str, condition: Any) -> str:
    field: Any = model._meta.get_field(field_name)
    parent: type[Model] = field.related_model
    alias = f"{row}_{field_name}" if row.startswith("of") else f"of_{field_name}"
    table, key = parent._meta.db_table, parent._meta.pk.column
    wanted = condition(parent, alias)
    more = "" if wanted == "true" else f" AND {wanted}"
    return (
        f"EXISTS (SELECT 1 FROM {table} {alias} WHERE {alias}.{key} = {row}.{field.column}{more})"  # noqa: S608
    )


def _is_among(column: str, setting: str) -> str:
    """Whether ``column`` is in the list of a session setting.

    ``= ANY`` would say it more simply. But the planner takes that for a condition that few rows
    meet, and gives up an index's order for it; of this one it assumes that all rows meet it, which
    is so for every query that was already narrowed by ``visible_to``. The sub-select is read once
    a query, not once a row.
    """
    listed = f"(SELECT nullif(current_setting('{setting}', true), '')::uuid[])"
    return f"array_position({listed}, {column}) IS NOT NULL"
