"""What is asked before a report is issued."""

from __future__ import annotations

from django import forms


class IssueForm(forms.Form):
    """``seen`` is the version that the page showed as the newest; 0 for none."""

    seen = forms.IntegerField(min_value=0, max_value=2**31 - 1, widget=forms.HiddenInput)
