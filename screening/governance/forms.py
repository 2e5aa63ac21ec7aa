"""What an admin types when choosing an operating point or asking for a local calibration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.governance.choices import Choice
from screening.governance.models import Aim
from screening.governance.operating_points import REASON_LENGTH


class OperatingPointForm(forms.Form):
    """Which point, and why. ``threshold`` is in per cent, as pages show it."""

    choice = forms.ChoiceField(
        label=_("Operating point"),
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose one of the points that are offered.")},
    )
    threshold = forms.FloatField(
        label=_("Threshold in %"),
        required=False,
        min_value=0,
        max_value=100,
        widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}),
        help_text=_("COVID-19 is called from this probability on."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": REASON_LENGTH}),
        error_messages={"required": _("Say why; colleagues will ask.")},
    )
    model = forms.CharField(widget=forms.HiddenInput)
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, choices: Iterable[Choice], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offered = {choice.key: choice for choice in choices}
        keys = [(key, choice.name) for key, choice in self._offered.items()]
        typed = (Aim.THRESHOLD.value, str(Aim.THRESHOLD.label))
        field = self.fields["choice"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  (declared above)
        field.choices = [*keys, typed]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        typed = cleaned.get("choice") == Aim.THRESHOLD
        if typed and "threshold" not in self.errors and cleaned.get("threshold") is None:
            self.add_error("threshold", _("Enter a threshold between 0 and 100%."))
        return cleaned

    def values(self) -> dict[str, Any]:
        """What was chosen, once ``is_valid`` has said so."""
        cleaned = self.cleaned_data
        chosen = self._offered.get(cleaned["choice"])
        typed = cleaned["threshold"] / 100.0 if chosen is None else None
        return {
            "aim": chosen.aim.value if chosen is not None else Aim.THRESHOLD.value,
            "target": chosen.target if chosen is not None else None,
            "threshold": typed,
            "reason": cleaned["reason"],
            "seen": cleaned["seen"],
        }
