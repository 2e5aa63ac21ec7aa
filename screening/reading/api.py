"""Readings over the API: read them, draft, record a first impression, sign, add."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from screening.accounts import policies
from screening.accounts.api_permissions import requires_permission
from screening.accounts.models import User
from screening.accounts.policies import Permission
from screening.audit.services import record
from screening.reading import selectors, services
from screening.reading.api_serializers import (
    AddendumSerializer,
    DraftSentSerializer,
    NewAddendumSerializer,
    ReadingSerializer,
    SignedSentSerializer,
    StudyReadingsSerializer,
)
from screening.reading.services import Draft
from screening.studies.models import Study
from screening.studies.selectors import get_study

MAY_VIEW = requires_permission(Permission.VIEW_STUDIES)
MAY_WRITE = requires_permission(Permission.WRITE_READINGS)


def _user(request: Request) -> User:
    return cast(User, request.user)


class StudyReadings(APIView):
    """The readings of one study."""

    permission_classes = (MAY_VIEW,)

    @extend_schema(
        summary="The signed readings of a study, and the caller's own draft",
        responses={200: StudyReadingsSerializer},
    )
    def get(self, request: Request, study_id: UUID) -> Response:
        user = _user(request)
        study = get_study(user, study_id)
        own = selectors.reading_of(user, study)
        found = {
            "answer_hidden": selectors.answer_hidden(user, study),
            "draft": own if own is not None and not own.is_signed else None,
            "readings": selectors.signed_readings(user, study),
        }
        record("reading.list", study, actor=user)
        return Response(StudyReadingsSerializer(found).data)


class WritingView(APIView):
    """What the three ways of writing one's own reading share."""

    permission_classes = (MAY_WRITE,)

    def _addressed(
        self, request: Request, study_id: UUID, form_class: type[serializers.Serializer[Any]]
    ) -> tuple[User, Study, dict[str, Any]]:
        user = _user(request)
        study = get_study(user, study_id)
        policies.require(user, Permission.WRITE_READINGS, study.site_id)
        form = form_class(data=request.data)
        form.is_valid(raise_exception=True)
        return user, study, form.validated_data


def _draft(sent: dict[str, Any]) -> Draft:
    return Draft(sent["impression"], sent["text"], sent["stance"], sent["reason"])


class ReadingDraft(WritingView):
    @extend_schema(
        summary="Keep a draft of one's own reading",
        description=(
            "`version` is that of the draft this one replaces, 0 for the first. 409 with the code "
            "`draft_overtaken` says that somebody has saved since."
        ),
        request=DraftSentSerializer,
        responses={200: ReadingSerializer},
    )
    def post(self, request: Request, study_id: UUID) -> Response:
        user, study, sent = self._addressed(request, study_id, DraftSentSerializer)
        reading = services.save_draft(
            actor=user, study=study, draft=_draft(sent), version=sent["version"]
        )
        return Response(ReadingSerializer(reading).data)


class ReadingFirstImpression(WritingView):
    @extend_schema(
        summary="Record the impression from before the AI's answer is shown",
        description="Only where the answer is hidden from the caller; it is shown from then on.",
        request=DraftSentSerializer,
        responses={201: ReadingSerializer},
    )
    def post(self, request: Request, study_id: UUID) -> Response:
        user, study, sent = self._addressed(request, study_id, DraftSentSerializer)
        reading = services.record_first_impression(
            actor=user, study=study, draft=_draft(sent), version=sent["version"]
        )
        return Response(ReadingSerializer(reading).data, status=201)


class ReadingSignature(WritingView):
    @extend_schema(
        summary="Sign one's own reading",
        description=(
            "It can't be changed after that. `stance` is `agrees` where the impression is the "
            "AI's class, else `overrides` with a `reason`; either with `unsure`; neither where "
            "there is no answer."
        ),
        request=SignedSentSerializer,
        responses={201: ReadingSerializer},
    )
    def post(self, request: Request, study_id: UUID) -> Response:
        user, study, sent = self._addressed(request, study_id, SignedSentSerializer)
        reading = services.sign_reading(
            actor=user, study=study, draft=_draft(sent), version=sent["version"]
        )
        return Response(ReadingSerializer(reading).data, status=201)


class ReadingAddenda(APIView):
    """What is added to a signed reading."""

    permission_classes = (MAY_WRITE,)

    @extend_schema(
        summary="Add to a signed reading",
        request=NewAddendumSerializer,
        responses={201: AddendumSerializer},
    )
    def post(self, request: Request, reading_id: UUID) -> Response:
        user = _user(request)
        reading = selectors.get_signed_reading(user, reading_id)
        form = NewAddendumSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        addendum = services.add_addendum(
            actor=user, reading=reading, text=form.validated_data["text"]
        )
        return Response(AddendumSerializer(addendum).data, status=201)
