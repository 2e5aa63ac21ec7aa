"""The forms of one's own settings and of the site's."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from screening.accounts.models import Site, User
from screening.accounts.preferences import known_zones


def zone_choices(empty: Any) -> list[Any]:
    """The zones under their continents, after one choice that stands for none of them."""
    groups = groupby(known_zones(), key=lambda name: name.partition("/")[0])
    named: list[Any] = [
        (region, [(name, _place(name)) for name in names]) for region, names in groups
    ]
    return [("", empty), ("UTC", "UTC"), *named[1:]]


def _place(name: str) -> str:
    return name.partition("/")[2].replace("_", " ").replace("/", ", ")


class PreferencesForm(forms.Form):
    """``site_zone`` is what an empty time zone means at present."""

    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        choices=[("", _("As my browser asks")), *settings.LANGUAGES],
    )
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        help_text=_("Of every time on these pages. The API always says the offset."),
    )

    def __init__(self, *args: Any, site_zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        empty = _("As the site: %(zone)s") % {"zone": site_zone}
        self.fields["time_zone"].choices = zone_choices(empty)  # type: ignore[attr-defined]

    @classmethod
    def of(cls, user: User, *, site_zone: str) -> PreferencesForm:
        return cls(
            initial={"language": user.language, "time_zone": user.time_zone}, site_zone=site_zone
        )


class SiteSettingsForm(forms.Form):
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        required=False,
        help_text=_("Days of the dashboard begin and end by it. People may choose their own."),
    )

    idle_minutes = forms.IntegerField(
        label=_("Minutes without activity until people are signed out"), required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        most = settings.SESSION_COOKIE_AGE // 60
        self.fields["idle_minutes"].help_text = _(
            "From 1 to %(most)s; empty stands for %(most)s."
        ) % {"most": most}
        empty = _("As the portal: %(zone)s") % {"zone": settings.TIME_ZONE}
        self.fields["time_zone"].choices = zone_choices(empty)  # type: ignore[attr-defined]

    @classmethod
    def of(cls, site: Site) -> SiteSettingsForm:
        return cls(initial={"time_zone": site.time_zone, "idle_minutes": site.idle_minutes})
