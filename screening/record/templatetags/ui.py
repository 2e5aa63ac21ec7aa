"""What templates need beyond Django's own tags: form controls, navigation, dates, numbers."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from django import forms, template
from django.contrib.auth.models import AnonymousUser
from django.forms.boundfield import BoundField
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from screening.accounts.models import Membership, Site, User
from screening.accounts.policies import ROLE_PERMISSIONS, Permission
from screening.inference.sentences import in_words

register = template.Library()


@register.filter
def control(field: BoundField) -> SafeString:
    """The field's widget with the style sheet's class for its kind."""
    widget = field.field.widget
    if isinstance(widget, forms.CheckboxInput):
        css_class = "form-check-input"
    elif isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        css_class = ""
    elif isinstance(widget, forms.Select):
        css_class = "form-select"
    else:
        css_class = "form-control"
    if field.errors:
        css_class = f"{css_class} is-invalid"
    given = widget.attrs.get("class", "")
    return field.as_widget(attrs={"class": f"{given} {css_class}".strip()})


@register.filter
def is_checkbox(field: BoundField) -> bool:
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.simple_tag
def portal_member(user: User | AnonymousUser | str | None) -> dict[str, Any]:
    """What the header shows of a signed-in person: site, role, and which doors to offer.

    Pages that have no user (an error page drawn outside a request) get an empty dictionary.
    """
    if not isinstance(user, User) or not user.is_authenticated:
        return {}
    memberships = list(
        Membership.objects.filter(user=user, is_active=True)
        .select_related("site")
        .order_by("created_at")
    )
    if not memberships:
        return {}
    granted = set().union(*(ROLE_PERMISSIONS[m.role] for m in memberships))
    return {
        "sites": ", ".join(m.site.name for m in memberships),
        "role": memberships[0].get_role_display(),
        "may_manage_site": Permission.MANAGE_SITE in granted,
    }


@register.simple_tag(takes_context=True)
def site_beside(context: dict[str, Any], site_id: UUID) -> str:
    """The name of a site for whoever works at several; empty for everybody else.

    A row of a list then says where it belongs. The names are read once a page.
    """
    request = context.get("request")
    standing = getattr(request, "standing", None)
    if standing is None or len(standing.sites) < 2:
        return ""
    names: dict[UUID, str] | None = getattr(request, "site_names", None)
    if names is None:
        names = dict(Site.objects.filter(pk__in=standing.sites).values_list("pk", "name"))
        request.site_names = names  # type: ignore[union-attr]  # found above
    return names.get(site_id, "")


def years_between(birth: date, today: date) -> int:
    """Whole years of age on ``today``."""
    return today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))


@register.filter
def age(birth: date | None) -> str:
    """``"54 years"``, ``"7 months"`` for infants, ``"5 days"`` for the newborn; else empty."""
    if birth is None:
        return ""
    today = timezone.localdate()
    years = years_between(birth, today)
    if years >= 2:
        return _("%(n)s years") % {"n": years}
    months = (today.year - birth.year) * 12 + today.month - birth.month - (today.day < birth.day)
    if months >= 1:
        return ngettext("%(n)s month", "%(n)s months", months) % {"n": months}
    days = max((today - birth).days, 0)
    return ngettext("%(n)s day", "%(n)s days", days) % {"n": days}


@register.filter
def day(moment: datetime) -> str:
    """``Today``, ``Yesterday``, or the date."""
    local = timezone.localtime(moment).date()
    ago = (timezone.localdate() - local).days
    if ago == 0:
        return _("Today")
    return _("Yesterday") if ago == 1 else date_format(local, "SHORT_DATE_FORMAT")


@register.filter
def percent(share: float) -> str:
    """A probability as a clinician reads it; never a false ``0%`` or ``100%``."""
    if share >= 0.995:
        return "> 99%"
    if share < 0.005:
        return "< 1%"
    return f"{max(round(share * 100), 1)}%"


@register.filter
def said(sentence: str) -> str:
    """What the model or the gate said, in the language of the page; see ``inference.sentences``."""
    return in_words(sentence)


@register.filter
def share(value: float) -> str:
    """A number for an HTML attribute, whatever the language of the page."""
    return f"{value:.4f}"
