"""What people are told, in the portal and by letter."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from screening.accounts.models import Membership, User
from screening.accounts.services.preferences import set_preferences
from screening.patients.models import Patient
from screening.worklist import claims, letters, notice_selectors, notices, tasks
from screening.worklist.models import Kind, Mail, Notification
from tests.personas import ClientOf
from tests.record import rows
from tests.worklist.conftest import NewStudy


@pytest.fixture
def alice(client_of: ClientOf, clinician_a: User) -> Client:
    return client_of(clinician_a)


@pytest.fixture
def mail_server(settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"


def told(user: User) -> list[str]:
    return [one.kind for one in Notification.objects.visible_to(user)]


def bell_of(client: Client) -> str:
    found = re.search(
        r'bell-count">([0-9+]+)<', client.get("/notifications/bell/").content.decode()
    )
    return found[1] if found else ""


@pytest.mark.parametrize(
    ("end", "kind"),
    [(rows.finish, Kind.DONE), (rows.fail, Kind.FAILED), (rows.refuse, Kind.REFUSED)],
)
def test_the_sender_is_told_how_it_ended(
    clinician_a: User, admin_a: User, patient_a: Patient, end: Any, kind: Kind
) -> None:
    image = rows.send_image(clinician_a, patient_a)
    rows.run(image)
    assert told(clinician_a) == []
    end(image)
    assert told(clinician_a) == [kind]
    assert told(admin_a) == [], "only the sender"


def test_told_again_it_is_one_notification_unread_and_on_top(
    clinician_a: User, patient_a: Patient, new_study: NewStudy
) -> None:
    first = rows.send_image(clinician_a, patient_a)
    rows.finish(first)
    new_study(seed=2)
    notices.mark_read(actor=clinician_a)
    second = rows.send_image(clinician_a, patient_a, study_id=first.study_id, seed=3)
    rows.finish(second)
    newest, older = Notification.objects.all()
    assert (newest.study_id, newest.read_at) == (first.study_id, None)
    assert older.read_at is not None


def test_the_bell_counts_what_is_unread(alice: Client, new_study: NewStudy) -> None:
    assert bell_of(alice) == ""
    study = new_study()
    new_study(seed=2)
    assert bell_of(alice) == "2"
    assert 'bell-count">2' in alice.get("/").content.decode()
    assert alice.get("/notifications/bell/?seen=2").status_code == 204
    alice.post(f"/worklist/studies/{study.pk}/presence/", {"active": "1"})
    assert bell_of(alice) == "1", "opening a study marks its notifications read"
    alice.post("/notifications/read/")
    assert bell_of(alice) == ""


def test_a_page_that_stands_open_reads_nothing(alice: Client, new_study: NewStudy) -> None:
    study = new_study()
    alice.post(f"/worklist/studies/{study.pk}/presence/")
    assert bell_of(alice) == "1"


def test_the_page_tells_what_and_of_whom(
    alice: Client, clinician_a: User, anna: User, new_study: NewStudy
) -> None:
    study = new_study()
    claims.assign_study(actor=anna, study_id=study.pk, assignee_id=clinician_a.pk)
    page = alice.get("/notifications/").content.decode()
    assert "Assigned to you by Anna Ames" in page
    assert "The analysis is done" in page
    assert "Nordlund, Nina" in page
    assert "This portal has no mail server" in page


def test_whoever_left_the_site_is_told_nothing_of_it_any_more(
    clinician_a: User, new_study: NewStudy
) -> None:
    new_study()
    Membership.objects.filter(user=clinician_a).update(is_active=False)
    assert told(clinician_a) == []


def test_pages_of_notifications(alice: Client, clinician_a: User, new_study: NewStudy) -> None:
    study = new_study()
    Notification.objects.all().delete()
    other = [Kind.DONE, Kind.FAILED, Kind.REFUSED]
    for number, kind in enumerate(other):
        Notification.objects.create(
            user=clinician_a, site_id=study.site_id, study=study, kind=kind,
            at=timezone.now() - timedelta(minutes=number),
        )  # fmt: skip
    whole = notice_selectors.notification_page(clinician_a)
    assert [one.kind for one in whole.notifications] == other
    mark = f"{int(whole.notifications[0].at.timestamp() * 1_000_000)}"
    rest = alice.get(f"/notifications/?before={mark}-{'0' * 32}").content.decode()
    assert rest.count('class="study-row notice') == 2
    assert alice.get("/notifications/?before=nonsense").status_code == 422


# --- Letters -----------------------------------------------------------------------------------


def want_everything(user: User) -> None:
    notices.set_mail_wishes(actor=user, done=True, stuck=True, assigned=True)


def send_due() -> int:
    return letters.send_due()


@pytest.mark.parametrize("end", [rows.finish, rows.fail, rows.refuse])
def test_a_letter_tells_nothing_of_the_patient(
    clinician_a: User, patient_a: Patient, mail_server: None, end: Any
) -> None:
    want_everything(clinician_a)
    image = rows.send_image(clinician_a, patient_a, name="nina-nordlund.png")
    end(image)
    assert send_due() == 1
    letter = mail.outbox[0]
    assert letter.to == ["alice@example.org"]
    text = f"{letter.subject}\n{letter.body}".lower()
    for secret in ("nordlund", "nina", "n-1001", "1962", str(image.pk), str(image.study_id)):
        assert secret not in text
    for finding in ("covid", "pneumonia", "normal", "north hospital", "http"):
        assert finding not in text
    assert "notifications" in text
    assert send_due() == 0, "once"


def test_an_assignment_comes_by_letter_too(
    clinician_a: User, anna: User, new_study: NewStudy, mail_server: None
) -> None:
    want_everything(anna)
    claims.assign_study(actor=clinician_a, study_id=new_study().pk, assignee_id=anna.pk)
    assert send_due() == 1
    assert mail.outbox[0].to == ["anna@example.org"]
    assert "assigned" in mail.outbox[0].subject


def test_a_letter_is_in_the_readers_language(
    clinician_a: User, anna: User, new_study: NewStudy, mail_server: None
) -> None:
    want_everything(anna)
    set_preferences(user=anna, language="de", time_zone="")
    claims.assign_study(actor=clinician_a, study_id=new_study().pk, assignee_id=anna.pk)
    assert send_due() == 1
    assert mail.outbox[0].subject == "ThoraScreen: Ihnen wurde eine Untersuchung zugewiesen"


def test_nobody_gets_letters_unasked_or_without_a_server(
    clinician_a: User, new_study: NewStudy, settings: Any
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    new_study()
    settings.EMAIL_HOST = ""
    want_everything(clinician_a)
    new_study(seed=2)
    assert {one.mail for one in Notification.objects.all()} == {Mail.NONE}
    assert send_due() == 0


def test_only_what_is_wished_for_comes(
    clinician_a: User, patient_a: Patient, mail_server: None
) -> None:
    notices.set_mail_wishes(actor=clinician_a, done=False, stuck=True, assigned=False)
    rows.finish(rows.send_image(clinician_a, patient_a))
    rows.fail(rows.send_image(clinician_a, patient_a, seed=2))
    assert send_due() == 1
    assert "failed" in mail.outbox[0].subject


def test_a_server_that_is_away_is_tried_again_and_in_the_end_given_up(
    clinician_a: User, new_study: NewStudy, mail_server: None, settings: Any
) -> None:
    want_everything(clinician_a)
    new_study()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert send_due() == 0
    waiting = Notification.objects.get()
    assert waiting.mail == Mail.DUE
    assert waiting.mail_after is not None
    assert waiting.mail_after > timezone.now()
    for _ in range(letters.MAX_ATTEMPTS - 1):
        Notification.objects.update(mail_after=timezone.now())
        assert send_due() == 0
    assert Notification.objects.get().mail == Mail.FAILED


def test_a_letter_whose_sender_died_is_sent_after_a_while(
    clinician_a: User, new_study: NewStudy, mail_server: None
) -> None:
    want_everything(clinician_a)
    new_study()
    Notification.objects.update(mail=Mail.SENDING, mail_after=timezone.now() + letters.LEASE)
    assert send_due() == 0
    Notification.objects.update(mail_after=timezone.now())
    assert send_due() == 1


def test_whoever_left_gets_no_letter(
    clinician_a: User, new_study: NewStudy, mail_server: None
) -> None:
    want_everything(clinician_a)
    new_study()
    Membership.objects.filter(user=clinician_a).update(is_active=False)
    assert send_due() == 0
    assert Notification.objects.get().mail == Mail.FAILED


def test_wishes_are_kept(alice: Client, clinician_a: User, mail_server: None) -> None:
    alice.post("/notifications/mail/", {"assigned": "on"})
    wishes = clinician_a.mail_wishes
    assert (wishes.done, wishes.stuck, wishes.assigned) == (False, False, True)
    page = alice.get("/notifications/").content.decode()
    assert re.search(r'id="id_assigned"[^>]*checked', page)
    assert "alice@example.org" in page


def test_old_notifications_are_forgotten(clinician_a: User, new_study: NewStudy) -> None:
    new_study()
    new_study(seed=2)
    oldest = Notification.objects.last()
    assert oldest is not None
    Notification.objects.filter(pk=oldest.pk).update(at=timezone.now() - timedelta(days=61))
    assert letters.forget_old() == 1
    assert Notification.objects.count() == 1


def test_the_background_task_sends_the_one_letter_it_is_called_for(
    clinician_a: User, new_study: NewStudy, mail_server: None
) -> None:
    want_everything(clinician_a)
    new_study()
    new_study(seed=2)
    wanted = Notification.objects.first()
    assert wanted is not None
    tasks.send_letter(str(wanted.pk))
    tasks.send_letter(str(wanted.pk))
    assert len(mail.outbox) == 1
    tasks.send_due_letters()
    assert len(mail.outbox) == 2
