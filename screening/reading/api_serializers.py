"""How the API writes down readings."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from screening.inference.models import Label
from screening.reading.models import Addendum, FirstImpression, Impression, Reading, Stance
from screening.reading.services import REASON_LENGTH, TEXT_LENGTH


class AddendumSerializer(serializers.Serializer[Addendum]):
    """What was added to a signed reading, and by whom."""

    id = serializers.UUIDField()
    author = serializers.CharField()
    text = serializers.CharField()
    signed_at = serializers.DateTimeField(source="created_at")


class FirstImpressionSerializer(serializers.Serializer[FirstImpression]):
    """What the reader thought before the AI's answer was shown."""

    impression = serializers.ChoiceField(choices=Impression.choices)
    text = serializers.CharField(allow_blank=True)
    recorded_at = serializers.DateTimeField(source="created_at")


class ReadingSerializer(serializers.Serializer[Reading]):
    """One reading. ``signed_at`` is null for a draft, which only its reader sees.

    ``of_record`` marks the one that counts: the first that was signed. ``ai_label`` and
    ``ai_called`` are the AI's class and flag as they stood when it was signed.
    """

    id = serializers.UUIDField()
    study = serializers.UUIDField(source="study_id")
    reader = serializers.CharField()
    version = serializers.IntegerField()
    impression = serializers.ChoiceField(choices=Impression.choices, allow_blank=True)
    text = serializers.CharField(allow_blank=True)
    stance = serializers.ChoiceField(choices=Stance.choices, allow_blank=True)
    reason = serializers.CharField(allow_blank=True)
    saved_at = serializers.DateTimeField()
    signed_at = serializers.DateTimeField(allow_null=True)
    of_record = serializers.BooleanField()
    ai_label = serializers.SerializerMethodField()
    ai_called = serializers.BooleanField(allow_null=True)
    first_impression = serializers.SerializerMethodField()
    addenda = AddendumSerializer(many=True)

    @extend_schema_field(serializers.ChoiceField(choices=Label.choices, allow_null=True))
    def get_ai_label(self, reading: Reading) -> str | None:
        return reading.ai_label or None

    @extend_schema_field(FirstImpressionSerializer(allow_null=True))
    def get_first_impression(self, reading: Reading) -> dict[str, Any] | None:
        first = getattr(reading, "first_impression", None)
        return FirstImpressionSerializer(first).data if first is not None else None


class StudyReadingsSerializer(serializers.Serializer[Any]):
    """The readings of one study, the reading of record first; ``draft`` is the caller's own."""

    answer_hidden = serializers.BooleanField()
    draft = ReadingSerializer(allow_null=True)
    readings = ReadingSerializer(many=True)


class DraftSentSerializer(serializers.Serializer[Any]):
    """What a draft holds; every part may be left out."""

    version = serializers.IntegerField(default=0, min_value=0, max_value=2**31 - 1)
    impression = serializers.ChoiceField(
        choices=Impression.choices, required=False, default="", allow_blank=True
    )
    text = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=TEXT_LENGTH
    )
    stance = serializers.ChoiceField(
        choices=Stance.choices, required=False, default="", allow_blank=True
    )
    reason = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=REASON_LENGTH
    )


class SignedSentSerializer(DraftSentSerializer):
    """What is signed: ``impression`` at least."""

    impression = serializers.ChoiceField(choices=Impression.choices)


class NewAddendumSerializer(serializers.Serializer[Any]):
    """The words to add."""

    text = serializers.CharField(max_length=TEXT_LENGTH)
