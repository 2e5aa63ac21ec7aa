"""The question that an admin puts to a local calibration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from screening.governance.calibration import Question, Target, Unit
from screening.governance.proposal import Goal
from screening.inference.models import ModelVersion
from screening.studies.forms import PastDayInput

DAYS = 365
GOALS = (
    (Goal.SENSITIVITY.value, _("Sensitivity of at least")),
    (Goal.SPECIFICITY.value, _("Specificity of at least")),
    (Goal.PPV.value, _("PPV of at least")),
)


class CalibrationForm(forms.Form):
    """Model, period, target, unit and aim. What is left out of the address has its default."""

    model = forms.ChoiceField(label=_("Model"))
    since = forms.DateField(label=_("Studies that arrived from"), widget=PastDayInput())
    until = forms.DateField(label=_("to"), widget=PastDayInput())
    target = forms.ChoiceField(label=_("To be found"), choices=Target.choices)
    unit = forms.ChoiceField(label=_("What counts as one"), choices=Unit.choices)
    goal = forms.ChoiceField(label=_("Aim"), choices=GOALS)
    wanted = forms.FloatField(
        label=_("in %"),
        min_value=50,
        max_value=99.9,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
    )

    prevalence = forms.FloatField(
        label=_("Prevalence in %"),
        required=False,
        min_value=0.01,
        max_value=99.99,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        help_text=_("Among all your patients, if you know it."),
    )

    def __init__(self, data: dict[str, Any], *, versions: Sequence[ModelVersion]) -> None:
        self._versions = {str(version.pk): version for version in versions}
        today = timezone.localdate()
        defaults = {
            "model": next(iter(self._versions)),
            "since": (today - timedelta(days=DAYS)).isoformat(),
            "until": today.isoformat(),
            "target": Target.COVID.value,
            "unit": Unit.STUDY.value,
            "goal": Goal.SENSITIVITY.value,
            "wanted": "90",
        }
        super().__init__({**defaults, **data})
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  (declared above)
        field.choices = [(key, str(version)) for key, version in self._versions.items()]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since > until:
            self.add_error("until", _("The last day lies before the first."))
        for name, day in (("since", since), ("until", until)):
            if day and not 1900 <= day.year <= 2999:
                self.add_error(name, _("Enter a date between 1900 and 2999."))
        return cleaned

    def question(self) -> Question:
        """What is asked, once ``is_valid`` has said so."""
        cleaned = self.cleaned_data
        return Question(
            version=self._versions[cleaned["model"]],
            since=cleaned["since"],
            until=cleaned["until"],
            target=Target(cleaned["target"]),
            unit=Unit(cleaned["unit"]),
            goal=Goal(cleaned["goal"]),
            wanted=cleaned["wanted"] / 100.0,
            prevalence=cleaned["prevalence"] / 100.0 if cleaned["prevalence"] else None,
        )
