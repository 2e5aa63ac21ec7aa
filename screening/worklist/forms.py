"""The forms of the worklist: the filter, the rule of a site, the name of a view, letters."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.core.days import DayInput, DaysForm, in_this_age
from screening.studies.models import Status
from screening.worklist.models import MailWishes, Rule
from screening.worklist.selectors import Wanted

if TYPE_CHECKING:
    _RuleForm = forms.ModelForm[Rule]
    _MailForm = forms.ModelForm[MailWishes]
else:
    _RuleForm = _MailForm = forms.ModelForm

STATUSES = (
    ("", _("Any")),
    ("open", _("In progress")),
    (Status.DONE.value, _("Analysed")),
    ("stuck", _("Failed or refused")),
    (Status.FAILED.value, _("Failed")),
    (Status.REFUSED.value, _("Refused")),
)
FLAGS = (("", _("Any")), ("yes", _("Flagged")), ("no", _("Not flagged")))
CLAIMS = (
    ("", _("Anybody’s")),
    ("free", _("Nobody is reading")),
    ("mine", _("I am reading")),
    ("taken", _("A colleague is reading")),
    ("assigned", _("Assigned to me")),
)


class FilterForm(DaysForm):
    """What to see of the list; every part may be left out."""

    q = forms.CharField(label=_("Patient"), required=False, max_length=120)
    status = forms.ChoiceField(label=_("Status"), required=False, choices=STATUSES)
    flag = forms.ChoiceField(label=_("AI flag"), required=False, choices=FLAGS)
    claim = forms.ChoiceField(label=_("In whose hands"), required=False, choices=CLAIMS)
    since = forms.DateField(
        label=_("Arrived from"), required=False, widget=DayInput(), validators=[in_this_age]
    )
    until = forms.DateField(
        label=_("to"), required=False, widget=DayInput(), validators=[in_this_age]
    )

    q.widget.attrs.update(
        {"type": "search", "placeholder": _("Name or MRN"), "autocomplete": "off"}
    )

    def wanted(self) -> Wanted:
        """What is wanted, as far as it makes sense."""
        if not self.is_bound:
            return Wanted()
        self.is_valid()
        found = dict(self.cleaned_data)
        return Wanted(text=found.pop("q", ""), **found)

    def query(self) -> str:
        """The filter as part of an address, without what was searched for."""
        return urlencode(self._chosen(with_search=False))

    def full_query(self) -> str:
        return urlencode(self._chosen(with_search=True))

    def _chosen(self, *, with_search: bool) -> dict[str, str]:
        if not self.is_bound:
            return {}
        names = [name for name in self.fields if with_search or name != "q"]
        return {name: str(self.cleaned_data[name]) for name in names if self.cleaned_data.get(name)}


class ViewForm(forms.Form):
    """The name of a view, and the filter that it stands for."""

    name = forms.CharField(label=_("Name of this view"), max_length=40)
    query = forms.CharField(required=False, max_length=300, widget=forms.HiddenInput())


class RuleForm(_RuleForm):
    """How a site works through its list."""

    class Meta:
        model = Rule
        fields = ("order", "cap_minutes", "idle_minutes")
        widgets = {"order": forms.RadioSelect(attrs={"class": "form-check-input"})}
        labels = {
            "order": _("Order"),
            "cap_minutes": _("Cap on the wait of studies without a flag, in minutes"),
            "idle_minutes": _("A claim ends after so many minutes without a sign of its holder"),
        }
        help_texts = {
            "cap_minutes": _(
                "When flagged studies go first, one overtakes only studies that arrived less than "
                "this before it. What has waited longer is marked; nothing newer goes before it."
            ),
        }


class MailForm(_MailForm):
    """Which notifications come as letters too."""

    class Meta:
        model = MailWishes
        fields = ("done", "stuck", "assigned")
