"""The result page, and the news that an open page asks for."""

from __future__ import annotations

import datetime as dt
import re
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from ml.quality import UNFAMILIAR
from screening.accounts.models import User
from screening.audit.models import Event
from screening.inference.models import Job, Label
from screening.patients.models import Patient
from screening.record.cards import cards_for
from screening.record.selectors import studies_for
from screening.studies.models import Image
from tests.personas import ClientOf
from tests.record import rows

pytestmark = pytest.mark.django_db


def body_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def words(body: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


@pytest.fixture
def client(client_of: ClientOf, clinician_a: User) -> Client:
    return client_of(clinician_a)


def study_url(image: Image) -> str:
    return f"/studies/{image.study_id}/"


def state_url(image: Image, seen: str = "", view: str = "page") -> str:
    return f"/studies/{image.study_id}/state/?view={view}&seen={seen}"


# ---- what it says ----------------------------------------------------------------------------


def test_a_result_is_shown_with_every_share_its_model_and_its_limits(
    client: Client, image_a: Image
) -> None:
    rows.finish(image_a, Label.PNEUMONIA)
    body = body_of(client, study_url(image_a))
    page = words(body)
    assert "this looks most like Pneumonia" in page
    assert "COVID-19 6%" in page
    assert "Pneumonia 91%" in page
    assert "Normal 3%" in page
    assert "phantom-net 1.2.0" in page
    assert "42 ms" in page
    assert "Decision support, not a diagnosis." in page
    assert "It cannot name any other disease" in page
    assert body.count("<meter") == 3
    assert 'value="0.9100"' in body
    assert f"/images/{image_a.pk}/display/" in body
    assert f"/images/{image_a.pk}/heatmap/" in body


def test_a_result_without_a_clear_winner_says_so(client: Client, image_a: Image) -> None:
    rows.finish(image_a, Label.PNEUMONIA, (0.31, 0.45, 0.24))
    assert "The model is not sure" in words(body_of(client, study_url(image_a)))


def test_an_answer_says_whether_it_looks_at_the_lungs(client: Client, image_a: Image) -> None:
    rows.finish(image_a, carried=rows.evidence())
    page = words(body_of(client, study_url(image_a)))
    assert "Evidence inside the lungs 74%" in page
    assert "No shortcut was found" in page
    assert "COVID-19 is not called at the operating point of 46%" in page
    assert "Uncertain" not in page
    assert "Unreliable" not in page


def test_an_answer_that_does_not_rest_on_the_lungs_is_marked(
    client: Client, image_a: Image
) -> None:
    rows.finish(image_a, carried=rows.evidence(verdict="unreliable", caution="Lungs cut off."))
    page = words(body_of(client, study_url(image_a)))
    assert page.index("Unreliable: the answer stays") < page.index("COVID-19 6%")
    assert page.count("Unreliable") == 1
    assert "Lungs cut off." in page


def test_lists_carry_the_doubt_beside_the_answer(
    client: Client, patient_a: Patient, image_a: Image
) -> None:
    record = f"/patients/{patient_a.pk}/"
    result = rows.finish(image_a, carried=rows.evidence())
    assert "Pneumonia 91%" in words(body_of(client, record))
    assert "Unreliable" not in words(body_of(client, record))
    for carried, word in (
        (rows.evidence(verdict="unreliable"), "Unreliable"),
        (rows.evidence(possible=("pneumonia", "covid")), "Uncertain"),
        (rows.evidence(caution="Like no film.", caution_code="unfamiliar"), "Unfamiliar"),
    ):
        type(result).objects.filter(pk=result.pk).update(evidence=carried)
        for address in (record, "/", "/studies/"):
            assert f"Pneumonia 91% {word}" in words(body_of(client, address))


def test_a_picture_like_no_film_says_so_before_its_numbers(client: Client, image_a: Image) -> None:
    carried = rows.evidence(caution=UNFAMILIAR, caution_code="unfamiliar")
    rows.finish(image_a, carried=carried)
    page = words(body_of(client, study_url(image_a)))
    assert page.index("unlike the films that the model has learnt from") < page.index("COVID-19 6%")


def test_an_uncertain_answer_names_what_can_not_be_ruled_out(
    client: Client, image_a: Image
) -> None:
    rows.finish(image_a, carried=rows.evidence(possible=("pneumonia", "covid")))
    page = words(body_of(client, study_url(image_a)))
    assert "Uncertain: COVID-19 can’t be ruled out." in page
    assert "Pneumonia can’t" not in page


def test_an_answer_that_fits_no_class_says_so(client: Client, image_a: Image) -> None:
    rows.finish(image_a, carried=rows.evidence(possible=(), verdict="unknown"))
    page = words(body_of(client, study_url(image_a)))
    assert "unlike those of all three classes" in page
    assert "The lungs could not be found." in page
    assert "Evidence inside" not in page


def test_a_failure_has_a_message_a_code_and_a_retry_button(client: Client, image_a: Image) -> None:
    rows.fail(image_a, "timed_out", "Classifying this image took too long.")
    body = body_of(client, study_url(image_a))
    assert "Classifying this image took too long." in body
    assert "timed_out" in body
    assert f'action="/images/{image_a.pk}/retry/"' in body
    assert "<meter" not in body
    assert f"/images/{image_a.pk}/heatmap/" not in body


def test_retrying_brings_the_page_back_to_waiting(client: Client, image_a: Image) -> None:
    rows.fail(image_a)
    answer = client.post(f"/images/{image_a.pk}/retry/", follow=True)
    assert answer.redirect_chain[-1][0] == study_url(image_a)
    assert "Waiting its turn" in answer.content.decode()


def test_a_refusal_says_why_and_what_to_do_but_offers_no_retry(
    client: Client, image_a: Image
) -> None:
    rows.refuse(image_a, "too_dark", "The picture is almost all black: export it again.")
    body = body_of(client, study_url(image_a))
    assert "The picture is almost all black: export it again." in body
    assert "too_dark" in body
    assert f"/patients/{image_a.study.patient_id}/upload/" in body
    assert "/retry/" not in body


def test_an_open_study_asks_for_news_and_a_finished_one_does_not(
    client: Client, image_a: Image
) -> None:
    assert "/state/?view=page" in body_of(client, study_url(image_a))
    rows.finish(image_a)
    assert "/state/?view=page" not in body_of(client, study_url(image_a))


def test_a_study_of_another_site_does_not_exist(client: Client, image_b: Image) -> None:
    assert client.get(study_url(image_b)).status_code == 404
    assert client.get(state_url(image_b)).status_code == 404


def test_opening_is_written_down_once_and_asking_for_news_is_not(
    client: Client, image_a: Image
) -> None:
    client.get(study_url(image_a))
    for _ in range(3):
        client.get(state_url(image_a))
    assert Event.objects.filter(action="study.view", object_id=str(image_a.study_id)).count() == 1


# ---- news ------------------------------------------------------------------------------------


def state_of(image: Image, user: User) -> str:
    return cards_for(user, [studies_for(user).get(pk=image.study_id)])[0].state


def test_while_nothing_changes_there_is_nothing_to_draw(
    client: Client, clinician_a: User, image_a: Image
) -> None:
    answer = client.get(state_url(image_a, state_of(image_a, clinician_a)))
    assert answer.status_code == 204
    assert answer.content == b""


def test_a_result_comes_with_everything_the_page_lacks_and_ends_the_asking(
    client: Client, clinician_a: User, image_a: Image
) -> None:
    seen = state_of(image_a, clinician_a)
    rows.finish(image_a, Label.COVID)
    body = body_of(client, state_url(image_a, seen))
    for part in ("overlay", "controls", "finding"):
        assert re.search(rf'id="{part}-{image_a.pk}"[^>]*hx-swap-oob="true"', body), part
    assert "COVID-19" in body
    assert "hx-trigger" not in body
    assert re.search(r'id="announcer"[^>]*>nina.png: COVID-19, 82%<', body)
    assert 'class="xray"' not in body, "the X-ray is there already"


def test_news_of_one_image_leave_the_others_alone(
    client: Client, clinician_a: User, patient_a: Patient, image_a: Image
) -> None:
    second = rows.send_image(
        clinician_a, patient_a, study_id=image_a.study_id, seed=2, name="second.png"
    )
    seen = state_of(image_a, clinician_a)
    rows.finish(second)
    body = body_of(client, state_url(image_a, seen))
    assert f'id="finding-{second.pk}"' in body
    assert f'id="finding-{image_a.pk}"' not in body
    assert "hx-trigger" in body, "the first image is still to come"


def test_an_image_that_joins_an_open_study_is_added_to_the_page(
    client: Client, clinician_a: User, patient_a: Patient, image_a: Image
) -> None:
    seen = state_of(image_a, clinician_a)
    second = rows.send_image(clinician_a, patient_a, study_id=image_a.study_id, seed=2)
    body = body_of(client, state_url(image_a, seen))
    assert 'hx-swap-oob="beforeend:#study-images"' in body
    assert f"/images/{second.pk}/display/" in body


@pytest.mark.parametrize(("view", "expected"), [("row", "study-row"), ("upload", "data-image")])
def test_lists_and_the_upload_page_get_news_in_their_own_form(
    client: Client, clinician_a: User, image_a: Image, view: str, expected: str
) -> None:
    seen = state_of(image_a, clinician_a)
    rows.finish(image_a)
    body = body_of(client, state_url(image_a, seen, view))
    assert expected in body
    assert "hx-trigger" not in body
    assert "Pneumonia" in body


@pytest.mark.parametrize("seen", ["", "nonsense", "q.", "x.dddddddddd", "." * 400])
def test_any_seen_state_is_answered(client: Client, image_a: Image, seen: str) -> None:
    rows.finish(image_a)
    assert client.get(state_url(image_a, seen)).status_code == 200


def test_patience_grows_with_the_wait(clinician_a: User, image_a: Image) -> None:
    def pace(minutes: float) -> str:
        card = cards_for(clinician_a, [studies_for(clinician_a).get(pk=image_a.study_id)])[0]
        return card.poll_every(timezone.now() + dt.timedelta(minutes=minutes))

    assert pace(0) == "700ms"
    assert pace(2) == "3s"
    assert pace(60) == "15s"
    Job.objects.filter(image=image_a).update(available_at=timezone.now() + dt.timedelta(hours=1))
    assert pace(60) == "700ms", "a retry is awaited eagerly again"


def test_many_images_cost_no_more_queries_than_one(
    client: Client, clinician_a: User, patient_a: Patient, image_a: Image
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def cost(path: str) -> int:
        client.get(path)
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        return len(queries)

    study_id = uuid4()
    for seed in range(1, 6):
        many = rows.send_image(clinician_a, patient_a, study_id=study_id, seed=seed)
        rows.finish(many)
    rows.finish(image_a)
    assert cost(study_url(many)) == cost(study_url(image_a))
    assert cost(state_url(many)) == cost(state_url(image_a))
