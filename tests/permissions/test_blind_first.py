"""Where a site reads blind first, no address tells the AI's answer to whoever has to read first.

Every row of the matrix is asked twice, in two worlds that differ in nothing but the answers: to
somebody who must not know them, both have to look the same, to the last byte. That finds what a
search for a number would not: an order, a filter, a count, a missing button.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pypdf
import pytest
from django.db import transaction

from screening.accounts.models import Site, User
from screening.inference.models import Label
from screening.patients.models import Patient
from screening.reading.blind_first import set_blind_first
from screening.reading.services import Draft, record_first_impression, sign_reading
from screening.studies.models import Image, Study
from screening.worklist.models import Order
from screening.worklist.rules import set_rule
from tests.permissions.matrix import ROWS, Row
from tests.permissions.test_matrix import People, _send
from tests.personas import ClientOf, make_user
from tests.record import rows

SHARES = {
    Label.COVID: (0.8731, 0.1033, 0.0236),
    Label.NORMAL: (0.0419, 0.0127, 0.9454),
}
# Of the first world's first study; nothing else on any page looks like it.
CANARIES = ("0.8731", "87.3", "87%", "0.1033", "0.0236")
WORLDS = ((Label.COVID, Label.NORMAL), (Label.NORMAL, Label.COVID))

Objects = dict[str, str]
Films = tuple[Image, Image]


pytestmark = pytest.mark.usefixtures("undone")


@pytest.fixture(scope="module")
def films(
    studies_of_north: Objects, north: Site, admin_a: User, clinician_a: User, patient_a: Patient
) -> Films:
    """Two studies that arrive once North reads blind first and has flags go first in its list."""
    set_blind_first(actor=admin_a, site=north, is_on=True)
    set_rule(actor=admin_a, site=north, order=Order.FLAGS_FIRST, cap_minutes=60, idle_minutes=15)
    return (
        rows.send_image(clinician_a, patient_a, name="one.png", seed=11),
        rows.send_image(clinician_a, patient_a, name="two.png", seed=12),
    )


@pytest.fixture(scope="module")
def known(
    accounts_of_north: Objects,
    exports_of_north: Objects,
    emergency_of_north: Objects,
    films: Films,
) -> Objects:
    found = {**accounts_of_north, **exports_of_north, **emergency_of_north}
    return found | {"study_id": str(films[0].study_id), "image_id": str(films[0].pk)}


@pytest.fixture
def objects(known: Objects) -> Objects:
    return dict(known)


@contextmanager
def world(films: Films, labels: tuple[Label, Label]) -> Iterator[None]:
    """In here the AI has answered so; afterwards it has not answered yet."""
    savepoint = transaction.savepoint()
    try:
        for film, label in zip(films, labels, strict=True):
            carried = rows.evidence(possible=(label,), verdict="reliable")
            carried["operating_point"] |= {"called": label == Label.COVID}  # type: ignore[operator]
            rows.finish(film, label, SHARES[label], carried)
        yield
    finally:
        transaction.savepoint_rollback(savepoint)


def _text(response: Any) -> str:
    body = b"".join(response) if response.streaming else response.content
    if response.get("Content-Type", "").startswith("application/pdf"):
        pages = pypdf.PdfReader(io.BytesIO(body)).pages
        return "\n".join(page.extract_text() + f" {len(page.images)} pictures" for page in pages)
    return str(body.decode("utf-8", errors="replace"))


def _seen(response: Any, known: Objects) -> str:
    """What a person sees, without what differs from one moment or one form to the next."""
    text = f"{response.status_code} {response.get('Location', '')} {_text(response)}"
    for name, key in known.items():
        text = text.replace(key, f"<{name}>").replace(key.replace("-", ""), f"<{name}>")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", "<moment>", text)
    text = re.sub(r"\b\d\d:\d\d(:\d\d)?\b", "<time>", text)
    text = re.sub(r'(wait\w*_s":)[\d.]+', r"\1<seconds>", text)
    text = re.sub(r'("hint":")[\w-]{4}', r"\1<end>", text)
    text = re.sub(r'("(?:idle|age)_s": |data-(?:idle|age)=")[\d.]+', r"\1<seconds>", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<key>", text)
    text = re.sub(r'(?s)id="waits".*?</section>', "<figure of waiting times>", text)
    text = re.sub(r"\b[\d.,]+ s\b", "<seconds>", text)
    # The worlds are asked one after the other, and a minute may end in between.
    text = re.sub(r"\bless than a minute\b|\b\d+ min\b", "<minutes>", text)
    text = re.sub(r'(?s)class="(qr|recovery-codes)".*?</(form|ul)>', "<secret>", text)
    text = re.sub(r'href="data:[^"]*"', "<secret>", text)
    # PostgreSQL takes no number back that it gave out, whatever is undone.
    text = re.sub(
        r"\b\d+(?= · [a-z_]+\.)|(?<=data-event=\")\d+|(?m:^)\d+(?=,<moment>)", "<number>", text
    )
    text = re.sub(r'("size_bytes":)\d+', r"\1<size>", text)
    return re.sub(r"[\w:-]{28,}", "<token>", text)


def _known(objects: Objects, films: Films) -> Objects:
    """What must stay recognisable, so that an order that tells something is not masked."""
    return {
        "one": str(films[0].study_id),
        "two": str(films[1].study_id),
        "film-one": str(films[0].pk),
        "film-two": str(films[1].pk),
    }


def _in_both_worlds(
    person: User | None, row: Row, objects: Objects, films: Films, client_of: ClientOf
) -> list[str]:
    seen = []
    for labels in WORLDS:
        with world(films, labels):
            response = _send(client_of(person), row, objects)
            seen.append(_seen(response, _known(objects, films)))
    return seen


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_no_address_tells_the_answer_before_the_first_impression(
    row: Row,
    people: People,
    objects: Objects,
    films: Films,
    client_of: ClientOf,
) -> None:
    """Asked by whoever sent the film as well as by an admin."""
    objects["token"] = objects["invitation_token" if "invitation" in row.route else "reset_token"]
    if "uploads/" in row.route:
        objects["study_id"] = objects["new_study_id"]
    for persona in ("clinician_a", "admin_a"):
        one, other = _in_both_worlds(people[persona], row, objects, films, client_of)
        for canary in CANARIES:
            assert canary not in one, persona
        assert one == other, persona


FILTERED = [
    "/studies/?label=covid",
    "/studies/?label=normal",
    "/studies/?label=pneumonia&status=done",
    "/api/v1/studies/?label=covid",
    "/api/v1/studies/?label=normal",
    "/worklist/?flag=yes",
    "/worklist/?flag=no",
    "/worklist/rows/?flag=yes",
    "/worklist/rows/?flag=no",
    "/worklist/next/?flag=yes",
    "/api/v1/worklist/?flag=yes",
    "/api/v1/worklist/?flag=no",
    "/studies/{study_id}/state/?view=row&patient=1&seen=",
    "/studies/{study_id}/state/?view=upload&seen=",
    "/studies/{study_id}/state/?view=page&seen=q.q",
    "/readings/figures/?whose=all",
]


def _asked(address: str) -> Row:
    return Row(address.removeprefix("/").replace("{study_id}", "<uuid:study_id>"), "GET", {})


@pytest.mark.parametrize("address", FILTERED)
def test_no_filter_and_no_order_tells_the_answer(
    address: str, people: People, objects: Objects, films: Films, client_of: ClientOf
) -> None:
    for persona in ("clinician_a", "admin_a"):
        one, other = _in_both_worlds(people[persona], _asked(address), objects, films, client_of)
        assert one == other, persona


@pytest.mark.parametrize("address", ["/", "/worklist/", "/api/v1/worklist/?flag=yes"])
def test_the_comparison_would_notice(
    address: str,
    north: Site,
    admin_a: User,
    objects: Objects,
    films: Films,
    client_of: ClientOf,
) -> None:
    """Where nothing is hidden the two worlds look different."""
    set_blind_first(actor=admin_a, site=north, is_on=False)
    one, other = _in_both_worlds(admin_a, _asked(address), objects, films, client_of)
    assert one != other


SHOWN = [
    "/",
    "/studies/",
    "/studies/?label=covid",
    "/patients/{patient_id}/",
    "/studies/{study_id}/",
    "/studies/{study_id}/state/?view=page&seen=q.q",
    "/studies/{study_id}/state/?view=row&seen=",
    "/api/v1/studies/",
    "/api/v1/studies/?label=covid",
    "/api/v1/studies/{study_id}/",
]


def _tells(client: Any, address: str) -> bool:
    text = _text(client.get(address))
    return any(canary in text for canary in CANARIES)


@pytest.mark.parametrize("address", SHOWN)
def test_after_the_own_first_impression_the_answer_is_there(
    address: str, people: People, objects: Objects, films: Films, client_of: ClientOf
) -> None:
    """And only for whoever recorded it: another reader's does not open it."""
    reader, other = people["clinician_a"], people["admin_a"]
    assert reader is not None
    with world(films, WORLDS[0]):
        study = Study.objects.get(pk=films[0].study_id)
        address = address.format(**objects)
        assert not _tells(client_of(reader), address)
        record_first_impression(actor=reader, study=study, draft=Draft("normal"), version=0)
        assert _tells(client_of(reader), address)
        assert not _tells(client_of(other), address)


@pytest.mark.parametrize("address", SHOWN)
def test_a_signed_reading_opens_the_answer_for_everyone_here(
    address: str,
    people: People,
    objects: Objects,
    films: Films,
    north: Site,
    client_of: ClientOf,
) -> None:
    reader = make_user(north)
    with world(films, WORLDS[0]):
        study = Study.objects.get(pk=films[0].study_id)
        first = record_first_impression(actor=reader, study=study, draft=Draft("covid"), version=0)
        assert not _tells(client_of(people["clinician_a"]), address.format(**objects))
        sign_reading(
            actor=reader, study=study, draft=Draft("covid", "", "agrees"), version=first.version
        )
        for persona in ("clinician_a", "admin_a"):
            assert _tells(client_of(people[persona]), address.format(**objects))


@pytest.mark.parametrize(
    "address", ["/images/{image_id}/heatmap/", "/api/v1/images/{image_id}/heatmap/"]
)
def test_the_heatmap_opens_with_the_answer(
    address: str, people: People, objects: Objects, films: Films, client_of: ClientOf
) -> None:
    reader, other = people["clinician_a"], people["admin_a"]
    assert reader is not None
    address = address.format(**objects)
    with world(films, WORLDS[0]):
        refused = client_of(reader).get(address, headers={"accept": "application/json"})
        assert refused.status_code == 403
        assert refused.json()["code"] == "answer_hidden"
        study = Study.objects.get(pk=films[0].study_id)
        record_first_impression(actor=reader, study=study, draft=Draft("normal"), version=0)
        assert client_of(reader).get(address).status_code == 200
        assert client_of(other).get(address).status_code == 403


def test_what_came_before_the_switch_stays_visible(
    people: People, studies_of_north: Objects, films: Films, client_of: ClientOf
) -> None:
    """It may have been seen, so hiding it would only pretend."""
    page = _text(client_of(people["clinician_a"]).get(f"/studies/{studies_of_north['study_id']}/"))
    assert "91%" in page
