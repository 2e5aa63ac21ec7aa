"""What an admin types when deciding which version answers."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from screening.inference.activations import REASON_MOST
from screening.inference.shadow import MOST_LOOKED_BACK


class PromotionForm(forms.Form):
    """The decision; ``version`` is the package's fingerprint, ``seen`` what the page showed."""

    reviewed = forms.BooleanField(
        required=False,  # Its own sentence says what is missing.
        label=_(
            "I have reviewed the operating points above. I know that the old threshold is not "
            "used with this version, and what it would have flagged here."
        ),
    )
    reason = forms.CharField(
        label=_("Reason"),
        widget=forms.Textarea(attrs={"rows": 3, "maxlength": REASON_MOST}),
        error_messages={"required": _("Say why; colleagues will ask.")},
        help_text=_("Kept for ever with your name. At least ten characters, no patient’s name."),
    )
    version = forms.CharField(widget=forms.HiddenInput)
    seen = forms.CharField(required=False, widget=forms.HiddenInput)


class LookBackForm(forms.Form):
    """How many of the newest answered images the candidate shall answer as well."""

    count = forms.IntegerField(
        label=_("Newest images"),
        min_value=1,
        max_value=MOST_LOOKED_BACK,
        initial=100,
        widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
    )
