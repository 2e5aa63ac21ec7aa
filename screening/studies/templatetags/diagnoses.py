"""What the study page shows of a confirmed diagnosis."""

from __future__ import annotations

from typing import Any

from django import template

from screening.accounts.policies import Permission, may
from screening.studies.forms import DiagnosisForm
from screening.studies.models import Study
from screening.studies.selectors import diagnoses_of

register = template.Library()


@register.inclusion_tag("studies/parts/diagnosis_panel.html", takes_context=True)
def confirmed_diagnosis(
    context: template.Context, study: Study, *, hidden: bool = False
) -> dict[str, Any]:
    """What the patient of ``study`` turned out to have, and a form where one may say so.

    ``hidden`` says that the person has to read without knowing: a first impression that knew the
    truth would say nothing of the reader.
    """
    if hidden:
        return {"hidden": True}
    user = context["user"]
    history = diagnoses_of(user, study)
    current = next((row for row in history if row.superseded_at is None), None)
    allowed = may(user, Permission.RECORD_DIAGNOSES, study.site_id)
    return {
        "study": study,
        "current": current,
        "earlier": [row for row in history if row.superseded_at is not None],
        "form": DiagnosisForm.after(current) if allowed else None,
        "csrf_token": context.get("csrf_token"),
    }
