"""What an administrator can look after at a site: the one list behind the page "Site"."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import User
from screening.accounts.policies import Permission, memberships_with


@dataclass(frozen=True)
class Entry:
    """A page of the site: its address by name, its title, one sentence, and who may open it."""

    url_name: str
    title: Promise
    sentence: Promise
    permission: Permission


@dataclass(frozen=True)
class Group:
    title: Promise
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Door:
    """An entry as one person sees it."""

    address: str
    title: Promise
    sentence: Promise


GROUPS = (
    Group(
        _("How it goes"),
        (
            Entry(
                "insight:dashboard",
                _("Dashboard"),
                _("Studies, times to result, refusals, overrides, and whether anything drifts."),
                Permission.VIEW_INSIGHT,
            ),
        ),
    ),
    Group(
        _("People and place"),
        (
            Entry(
                "accounts:user_list",
                _("Users"),
                _("Who works here, in which role; invite, deactivate, reset a password."),
                Permission.MANAGE_USERS,
            ),
            Entry(
                "accounts:devices",
                _("Devices"),
                _("Modalities and systems that send X-rays by themselves, and their tokens."),
                Permission.MANAGE_USERS,
            ),
            Entry(
                "accounts:site_tokens",
                _("API tokens"),
                _("Which programs and devices use the API for somebody here; revoke one."),
                Permission.MANAGE_USERS,
            ),
            Entry(
                "accounts:site_settings",
                _("Site settings"),
                _("Time zone, logoff after idle time, who needs a second factor."),
                Permission.MANAGE_SITE,
            ),
            Entry(
                "emergency:reviews",
                _("Emergency access"),
                _("Records opened across sites in an emergency, to be reviewed; and who may."),
                Permission.REVIEW_EMERGENCIES,
            ),
            Entry(
                "backup:overview",
                _("Backups and keys"),
                _("Whether backups come, and how stored files lie on the disk."),
                Permission.MANAGE_SITE,
            ),
            Entry(
                "oversight:audit",
                _("Audit"),
                _("Who did, or looked at, what; and whether the record is as it was written."),
                Permission.VIEW_AUDIT,
            ),
        ),
    ),
    Group(
        _("Readings"),
        (
            Entry(
                "reading:policy",
                _("Blind-first reading"),
                _("Whether readers say what they see before the AI’s answer is shown."),
                Permission.SET_READING_POLICY,
            ),
            Entry(
                "worklist:rule",
                _("Rule of the worklist"),
                _("In which order unread studies stand, and how long an idle claim lasts."),
                Permission.RULE_WORKLIST,
            ),
            Entry(
                "reading:second_looks",
                _("Second looks"),
                _("Studies whose signed reading and the AI disagree."),
                Permission.VIEW_STUDIES,
            ),
            Entry(
                "reading:figures",
                _("Readers and AI"),
                _("Human alone, AI alone and human with AI, against confirmed diagnoses."),
                Permission.COMPARE_READERS,
            ),
        ),
    ),
    Group(
        _("What leaves, and what goes"),
        (
            Entry(
                "sharing:list",
                _("De-identified exports"),
                _("Studies as files that name nobody: what was made, by whom, until when."),
                Permission.EXPORT_DEIDENTIFIED,
            ),
            Entry(
                "retention:settings",
                _("Retention and erasures"),
                _("How long records are kept, whose would go, and what was erased."),
                Permission.SET_RETENTION,
            ),
        ),
    ),
    Group(
        _("The model"),
        (
            Entry(
                "record:models",
                _("Models"),
                _("Which model answers, which have answered, and the card of each."),
                Permission.VIEW_STUDIES,
            ),
            Entry(
                "governance:versions",
                _("Model versions"),
                _("Promote a version, roll one back, or try a candidate in shadow."),
                Permission.MANAGE_MODELS,
            ),
            Entry(
                "governance:operating_points",
                _("Operating point"),
                _("From what probability on COVID-19 is called here, since when and why."),
                Permission.SET_OPERATING_POINTS,
            ),
            Entry(
                "governance:calibration",
                _("Local calibration"),
                _("What a model is worth on your own confirmed cases, and a threshold for them."),
                Permission.SET_OPERATING_POINTS,
            ),
            Entry(
                "studies:import_diagnoses",
                _("Import confirmed diagnoses"),
                _("From a laboratory’s or registry’s list, checked line by line first."),
                Permission.IMPORT_DIAGNOSES,
            ),
        ),
    ),
)


def doors(user: User | AnonymousUser) -> list[tuple[Promise, list[Door]]]:
    """The groups with what ``user`` may open, empty groups left out."""
    held: dict[Permission, bool] = {}

    def may(permission: Permission) -> bool:
        if permission not in held:
            held[permission] = memberships_with(user, permission).exists()
        return held[permission]

    found = []
    for group in GROUPS:
        open_doors = [
            Door(reverse(entry.url_name), entry.title, entry.sentence)
            for entry in group.entries
            if may(entry.permission)
        ]
        if open_doors:
            found.append((group.title, open_doors))
    return found
