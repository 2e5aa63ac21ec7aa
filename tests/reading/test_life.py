"""Whatever is done in whatever order, a reading's life keeps its promises."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from screening.accounts.models import Site, User
from screening.core.errors import Conflict, InvalidInput
from screening.inference.models import Label
from screening.reading.answers import answer_of, disagreement, stances_open_to
from screening.reading.blind_first import set_blind_first
from screening.reading.models import Addendum, Discrepancy, FirstImpression, Impression, Reading
from screening.reading.selectors import answer_hidden
from screening.reading.services import (
    Draft,
    DraftOvertaken,
    add_addendum,
    record_first_impression,
    save_draft,
    sign_reading,
)
from tests.personas import make_patient, make_user
from tests.record import rows

DRAFTS = st.builds(
    Draft,
    impression=st.sampled_from(["", *Impression.values]),
    text=st.sampled_from(["", "Opacity.", "Clear lungs."]),
    stance=st.sampled_from(["", "agrees", "overrides"]),
    reason=st.sampled_from(["", "A shadow of the breast."]),
)
READERS = st.integers(0, 1)


class ReadingLife(RuleBasedStateMachine):
    """One blind study, two readers, two open pages each, and a model of what should be."""

    @initialize(label=st.sampled_from([*Label, None]), called=st.booleans())
    def arrive(self, label: Label | None, called: bool) -> None:
        site = Site.objects.create(name=f"Site {uuid4()}")
        self.readers = [make_user(site), make_user(site)]
        set_blind_first(actor=make_user(site, "admin"), site=site, is_on=True)
        image = rows.send_image(self.readers[0], make_patient(site))
        if label is None:
            rows.refuse(image)
        else:
            carried = rows.evidence()
            carried["operating_point"] |= {"called": called}  # type: ignore[operator]
            rows.finish(image, label, carried=carried)
        self.study = rows.study_of(image)
        self.pages = [[str(uuid4()), str(uuid4())] for _ in self.readers]
        # What each page believes the version to be, and what must be true of each reader.
        self.versions = [[0, 0], [0, 0]]
        self.last_page: list[int | None] = [None, None]
        self.version = [0, 0]
        self.first: dict[int, Draft] = {}
        self.signed: dict[int, Draft] = {}
        self.order: list[int] = []
        self.added: list[str] = []

    def _may_save(self, who: int, page: int) -> bool:
        return self.versions[who][page] == self.version[who] or self.last_page[who] == page

    def _call(self, service: Any, who: int, page: int, draft: Draft) -> Reading | None:
        """Do it; None where it was refused. The model says beforehand what must be refused."""
        try:
            reading: Reading = service(
                actor=self.readers[who],
                study=self.study,
                draft=draft,
                version=self.versions[who][page],
                page=self.pages[who][page],
            )
        except DraftOvertaken as overtaken:
            assert not self._may_save(who, page)
            # The page shows what was saved there, and whoever goes on then knows of it.
            self.versions[who][page] = overtaken.saved.version
            return None
        except (Conflict, InvalidInput):
            return None
        assert self._may_save(who, page), "another page's words were overwritten"
        assert who not in self.signed, "a signed reading was changed"
        self.version[who] = self.versions[who][page] = reading.version
        self.last_page[who] = page
        return reading

    @rule(who=READERS, page=st.integers(0, 1), draft=DRAFTS)
    def save(self, who: int, page: int, draft: Draft) -> None:
        self._call(save_draft, who, page, draft)

    @rule(who=READERS, page=st.integers(0, 1), draft=DRAFTS)
    def first_impression(self, who: int, page: int, draft: Draft) -> None:
        hidden = who not in self.first and not self.signed
        if self._call(record_first_impression, who, page, draft) is not None:
            assert hidden, "recorded although the answer was visible"
            assert draft.impression
            self.first[who] = draft

    @rule(who=READERS, page=st.integers(0, 1), draft=DRAFTS)
    def sign(self, who: int, page: int, draft: Draft) -> None:
        reading = self._call(sign_reading, who, page, draft)
        if reading is None:
            return
        assert who in self.first or self.signed, "signed before the first impression"
        assert reading.stance in stances_open_to(reading.impression, answer_of(self.study))
        assert reading.stance != "overrides" or reading.reason
        self.signed[who] = draft
        self.order.append(who)

    @precondition(lambda self: self.order)
    @rule(who=READERS, text=st.sampled_from(["More.", "  "]))
    def add(self, who: int, text: str) -> None:
        reading = Reading.objects.get(study=self.study, reader=self.readers[self.order[0]])
        try:
            add_addendum(actor=self.readers[who], reading=reading, text=text)
        except InvalidInput:
            assert not text.strip()
        else:
            self.added.append(text)

    @invariant()
    def what_was_recorded_stays(self) -> None:
        if not hasattr(self, "study"):
            return
        firsts = FirstImpression.objects.filter(reading__study=self.study)
        assert {(one.reading.reader_id, one.impression, one.text) for one in firsts} == {
            (self.readers[who].pk, draft.impression, draft.text)
            for who, draft in self.first.items()
        }
        found = Reading.objects.signed().filter(study=self.study)
        assert {(one.reader_id, one.impression, one.text) for one in found} == {
            (self.readers[who].pk, draft.impression, draft.text)
            for who, draft in self.signed.items()
        }
        texts = Addendum.objects.filter(reading__study=self.study).values_list("text", flat=True)
        assert list(texts) == self.added

    @invariant()
    def the_first_signed_is_of_record(self) -> None:
        if not hasattr(self, "study"):
            return
        of_record = Reading.objects.filter(study=self.study, of_record=True)
        assert [one.reader for one in of_record] == [self.readers[who] for who in self.order[:1]]
        expected = [
            one for one in of_record if any(disagreement(one.impression, one.stance, one.ai_called))
        ]
        opened = Discrepancy.objects.filter(reading__study=self.study)
        assert [one.reading for one in opened] == expected

    @invariant()
    def the_answer_opens_for_whoever_has_read_and_for_all_once_signed(self) -> None:
        if not hasattr(self, "study"):
            return
        for who, reader in enumerate(self.readers):
            assert answer_hidden(reader, self.study) == (who not in self.first and not self.signed)


@pytest.mark.django_db
def test_the_life_of_a_reading(clinician_a: User) -> None:
    run_state_machine_as_test(
        ReadingLife,
        settings=settings(
            max_examples=12,
            stateful_step_count=16,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
