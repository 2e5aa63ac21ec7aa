"""A report as a PDF (A4). The same content gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, CondPageBreak, Frame, KeepTogether, PageTemplate
from reportlab.platypus.flowables import Flowable, HRFlowable, Spacer

from screening.reading.models import Reading, Stance
from screening.record.templatetags.ui import percent
from screening.report import codes, flow, lettering
from screening.report.content import Answer, PrintedImage, ReportContent
from screening.report.flow import Words
from screening.report.pictures import print_heatmap, print_xray

MARGIN = 17 * mm
FOOT = 17 * mm


def draw_report(content: ReportContent) -> tuple[bytes, int]:
    """The PDF and its number of pages. Takes a few hundred milliseconds, mostly for pictures."""
    return _Drawing(content).draw()


class _Drawing:
    """One report being drawn; counts the characters that could not be printed."""

    def __init__(self, content: ReportContent) -> None:
        self.content = content
        self.zone = ZoneInfo(content.zone)
        self.missing = 0

    def draw(self) -> tuple[bytes, int]:
        target = io.BytesIO()
        story = list(self.story())
        template = BaseDocTemplate(
            target,
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=MARGIN,
            bottomMargin=MARGIN + FOOT,
            title=_("Chest X-ray report"),
            author=self.content.site,
            creator="ThoraScreen",
            lang="en",
            invariant=1,
            pageCompression=1,
        )
        frame = Frame(
            MARGIN,
            MARGIN + FOOT,
            A4[0] - 2 * MARGIN,
            A4[1] - 2 * MARGIN - FOOT,
            leftPadding=0,
            rightPadding=0,
            topPadding=0,
            bottomPadding=0,
        )
        template.addPageTemplates([PageTemplate("report", [frame])])
        pages: list[int] = []
        footer, mark = self.footer(), self.mark()

        class Numbered(_NumberedCanvas):
            def finish_page(self, number: int, count: int) -> None:
                pages.append(number)
                _draw_margins(self, footer, f"{number} / {count}", mark)

        template.build(story, canvasmaker=Numbered)
        return target.getvalue(), len(pages)

    # --- What stands where -----------------------------------------------------------------------

    def story(self) -> Iterator[Flowable]:
        content = self.content
        head = [
            (self.text(content.site), flow.SMALL),
            (self.text(_("Chest X-ray report")), flow.TITLE),
            (self.text(self.issued()), flow.SMALL),
        ]
        yield flow.Masthead(head, content.issue.verify_url if content.issue else "")
        if content.issue is None:
            yield flow.Boxed(self.text(self.preliminary()))
        yield Spacer(1, 5)
        yield HRFlowable(width="100%", thickness=0.7, color=flow.LINE, spaceAfter=5)
        yield self.facts(self.who())
        yield from self.reading_part()
        if content.diagnosis is not None:
            yield from self.diagnosis_part()
        yield from self.answer_part()
        yield from self.closing_part()

    def issued(self) -> str:
        issue = self.content.issue
        if issue is None:
            return _("Printed %(when)s") % {"when": self.moment(self.content.printed_at)}
        said = _("Version %(version)s, issued %(when)s by %(who)s")
        return said % {"version": issue.version, "when": self.moment(issue.at), "who": issue.by}

    def preliminary(self) -> str:
        if self.content.is_signed:
            return _("COPY – NOT AN ISSUED REPORT. It has no verification code.")
        return _("PRELIMINARY – NOT SIGNED. No reading of this study has been signed yet.")

    def who(self) -> list[tuple[str, str]]:
        patient, study = self.content.patient, self.content.study
        taken = self.day(study.taken_on) if study.taken_on else _("not stated in the file")
        return [
            (_("Patient"), str(patient)),
            (_("MRN"), patient.mrn),
            (_("Born"), self.day(patient.birth_date) if patient.birth_date else _("not known")),
            (_("Sex"), patient.get_sex_display() or _("not known")),
            (_("Study taken"), taken),
            (_("Received"), self.moment(study.created_at)),
            (_("Sent by"), str(study.uploaded_by)),
            (_("Images"), str(len(self.content.images))),
        ]

    def reading_part(self) -> Iterator[Flowable]:
        readings = self.content.readings
        if not readings:
            yield self.words(_("Reading"), flow.HEADING)
            yield self.words(_("There is no signed reading."))
        for reading in readings:
            name = _("Reading") if reading.of_record else _("Second reading")
            yield KeepTogether(
                [
                    self.words(name, flow.HEADING),
                    self.words(reading.get_impression_display(), flow.LEAD),
                ]
            )
            if reading.text.strip():
                yield self.words(reading.text)
            for said in self.measured(reading):
                yield self.words(said)
            yield from self.stance(reading)
            yield self.words(
                self.signature(
                    str(reading.reader), reading.reader.get_username(), reading.signed_at
                ),
                flow.STRONG,
            )
            for addendum in reading.addenda.all():
                yield self.words(_("Addendum"), flow.HEADING)
                yield self.words(addendum.text)
                author = addendum.author
                yield self.words(
                    self.signature(str(author), author.get_username(), addendum.created_at),
                    flow.STRONG,
                )

    def measured(self, reading: Reading) -> Iterator[str]:
        names = {printed.image.pk: printed.name for printed in self.content.images}
        for image, found in self.content.measured[reading.pk]:
            said = ", ".join(one.words for one in found)
            yield _("Measured in %(image)s: %(measured)s") % {
                "image": names[image.pk],
                "measured": said,
            }

    def stance(self, reading: Reading) -> Iterator[Flowable]:
        if self.content.answer_is_hidden or not reading.stance:
            return
        said = reading.get_stance_display()
        if reading.stance == Stance.OVERRIDES and reading.reason:
            said = _("Overrides the AI. Reason: %(reason)s") % {"reason": reading.reason}
        yield self.words(said, flow.Style(before=3, after=2))

    def signature(self, name: str, username: str, at: datetime | None) -> str:
        who = name if name == username else f"{name} ({username})"
        return _("Signed by %(who)s, %(when)s") % {
            "who": who,
            "when": self.moment(at) if at else "",
        }

    def diagnosis_part(self) -> Iterator[Flowable]:
        row = self.content.diagnosis
        if row is None:
            return
        said = f"{row.get_label_display()} ({row.get_basis_display()}, {self.day(row.date)})"
        yield KeepTogether([self.words(_("Confirmed diagnosis"), flow.HEADING), self.words(said)])
        if row.note:
            yield self.words(row.note)

    def answer_part(self) -> Iterator[Flowable]:
        heading = self.words(_("What the AI sees"), flow.HEADING)
        caveat = self.words(_("Decision support, not a diagnosis."), flow.STRONG)
        if self.content.answer_is_hidden:
            yield KeepTogether([heading, caveat])
            yield self.words(
                _("The AI’s answer is shown once you have recorded your first impression.")
            )
        else:
            yield CondPageBreak(105 * mm)
            yield heading
            yield caveat
        for number, printed in enumerate(self.content.images, 1):
            yield from self.image(number, printed)

    def image(self, number: int, printed: PrintedImage) -> Iterator[Flowable]:
        image = printed.image
        about = [f"{image.width} × {image.height}", image.format.upper()]
        name = _("Image %(number)s: %(name)s") % {"number": number, "name": printed.name}
        if image.view_position:
            about.insert(0, image.view_position)
        first: list[Flowable] = [
            self.words(name, flow.Style(font=lettering.BOLD, before=6)),
            self.words(" · ".join(about), flow.SMALL),
        ]
        if printed.is_pictured:
            first.append(self.pictures(printed))
        else:
            first.append(
                self.words(_("This picture is not printed; the portal shows it."), flow.SMALL)
            )
        yield KeepTogether(first)
        if printed.answer is not None:
            yield from self.answer(printed.answer)
        elif printed.problem:
            yield self.words(printed.problem)
        elif not self.content.answer_is_hidden:
            yield self.words(_("The AI gave no answer."))

    def pictures(self, printed: PrintedImage) -> Flowable:
        xray = print_xray(printed.image)
        gone = self.text(_("The picture could not be printed."))
        both = [(xray, self.text(_("X-ray")) if xray else gone)]
        if printed.answer is not None:
            heat = print_heatmap(printed.image, printed.answer.result)
            words = _("With heatmap: what counted most towards the answer")
            both.append((heat, self.text(words) if heat else gone))
        return flow.Pictures(both)

    def answer(self, answer: Answer) -> Iterator[Flowable]:
        card = answer.card
        bars = [
            (self.text(bar.name), bar.share, percent(bar.share), bar.is_top) for bar in card.bars
        ]
        for doubt in self.doubts(answer):
            yield self.words(doubt, flow.WARNING)
        yield KeepTogether([self.words(_("Calibrated probabilities"), flow.SMALL), flow.Bars(bars)])
        yield self.facts(self.basis(answer), columns=1)

    def doubts(self, answer: Answer) -> Iterator[str]:
        trust = answer.card.trust
        if answer.is_later:
            yield _("This answer came after the reading was signed.")
        if trust is None:
            if answer.card.is_unsure:
                yield _("Not sure: no class stands out.")
            return
        if trust.verdict == "unreliable":
            yield trust.sentence
        if trust.none_fits:
            yield _("Uncertain: none of the three classes fits well.")
        elif trust.others:
            others = ", ".join(trust.others)
            yield _("Uncertain: %(others)s can’t be ruled out.") % {"others": others}
        if trust.caution:
            yield trust.caution

    def basis(self, answer: Answer) -> list[tuple[str, str]]:
        trust, facts = answer.card.trust, []
        if trust is not None:
            said = _("COVID-19 called") if trust.called else _("COVID-19 not called")
            chosen = (
                _("chosen by %(who)s for this site") % {"who": trust.chosen_by}
                if trust.chosen_by
                else _("the model’s own")
            )
            figures = _(
                "%(said)s at %(threshold)s (%(chosen)s); sensitivity %(sens)s, "
                "specificity %(spec)s on pictures like those it learned from"
            )
            facts.append(
                (
                    _("Operating point"),
                    figures
                    % {
                        "said": said,
                        "threshold": f"{number_format(trust.threshold * 100, 2)}%",
                        "chosen": chosen,
                        "sens": percent(trust.sensitivity),
                        "spec": percent(trust.specificity),
                    },
                )
            )
            possible = [str(answer.result.get_label_display()), *trust.others]
            ruled = _("none") if trust.none_fits else ", ".join(possible)
            said = _("%(classes)s (such sets hold the true class in %(share)s of cases)")
            facts.append(
                (_("Can’t rule out"), said % {"classes": ruled, "share": percent(trust.coverage)})
            )
            facts.append((_("Shortcut meter"), self.meter(trust)))
        facts.append((_("Model"), answer.model))
        facts.append((_("Answered"), self.moment(answer.given_at)))
        if answer.receipt:
            facts.append((_("Receipt"), f"sha256 {answer.receipt}"))
        return facts

    def meter(self, trust: Any) -> str:
        if trust.evidence_in_lungs is None:
            return str(trust.sentence)
        said = _(
            "%(inside)s of the evidence lies inside the lungs (%(even)s if it were spread evenly). "
            "%(sentence)s"
        )
        return said % {
            "inside": percent(trust.evidence_in_lungs),
            "even": percent(trust.lung_area),
            "sentence": trust.sentence,
        }

    def closing_part(self) -> Iterator[Flowable]:
        if self.missing:
            said = ngettext(
                "%(count)s character that the print font does not hold is shown as □; "
                "the portal shows it.",
                "%(count)s characters that the print font does not hold are shown as □; "
                "the portal shows them.",
                self.missing,
            )
            yield self.words(said % {"count": self.missing}, flow.WARNING)
        issue = self.content.issue
        if issue is None:
            return
        yield Spacer(1, 6)
        yield HRFlowable(width="100%", thickness=0.7, color=flow.LINE, spaceAfter=4)
        said = _(
            "Whether this report is genuine and current: scan the code on the first page, or open "
            "%(address)s. The page shows nothing of the patient."
        )
        yield self.words(said % {"address": issue.verify_url}, flow.SMALL)

    def mark(self) -> str:
        """What is written across every page of what is no report."""
        if self.content.issue is not None:
            return ""
        return _("COPY") if self.content.is_signed else _("PRELIMINARY")

    def footer(self) -> list[str]:
        patient, issue = self.content.patient, self.content.issue
        who = _("%(patient)s · MRN %(mrn)s") % {"patient": patient, "mrn": patient.mrn}
        support = _("Decision support, not a diagnosis. A clinician reads every X-ray and decides.")
        kind = self.preliminary() if issue is None else codes.readable(issue.code)
        return [lettering.clean(text)[0] for text in (who, kind, support)]

    # --- How things are written ------------------------------------------------------------------

    def text(self, said: object) -> str:
        cleaned, missing = lettering.clean(str(said))
        self.missing += missing
        return cleaned

    def words(self, said: object, style: flow.Style = flow.BODY) -> Words:
        return Words(self.text(said), style)

    def facts(self, facts: list[tuple[str, str]], columns: int = 2) -> flow.Facts:
        return flow.Facts([(self.text(name), self.text(value)) for name, value in facts], columns)

    def moment(self, at: datetime) -> str:
        local = at.astimezone(self.zone)
        return f"{date_format(local, 'DATETIME_FORMAT')} {local.tzname()}"

    def day(self, day: date) -> str:
        return date_format(day, "DATE_FORMAT")


class _NumberedCanvas(Canvas):
    """Knows how many pages there are before it finishes the first: keeps them until the end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: list[dict[str, Any]] = []

    def showPage(self) -> None:
        self._kept.append(dict(self.__dict__))
        self._startPage()  # type: ignore[attr-defined]  # the stubs leave it out

    def save(self) -> None:
        for number, page in enumerate(self._kept, 1):
            self.__dict__.update(page)
            self.finish_page(number, len(self._kept))
            super().showPage()
        super().save()

    def finish_page(self, number: int, count: int) -> None:
        raise NotImplementedError


def _draw_margins(canvas: Canvas, footer: list[str], number: str, mark: str) -> None:
    """The foot of a page: whose it is, which report, which page; and the mark of a mere print."""
    who, kind, support = footer
    room = A4[0] - 2 * MARGIN
    who = lettering.lines(who, lettering.PLAIN, 7.5, room - 60)[0]
    canvas.setStrokeColor(flow.LINE)
    canvas.setLineWidth(0.7)
    canvas.line(MARGIN, MARGIN + FOOT - 14, A4[0] - MARGIN, MARGIN + FOOT - 14)
    foot = MARGIN + FOOT - 18
    flow.write(canvas, MARGIN, foot, [who, kind, support], flow.SMALL)
    right = A4[0] - MARGIN - lettering.width(number, lettering.BOLD, 9)
    flow.write(canvas, right, foot, [number], flow.STRONG)
    if mark:
        canvas.saveState()
        canvas.translate(A4[0] / 2, A4[1] / 2)
        canvas.rotate(52)
        canvas.setFillColor(flow.BAD, alpha=0.09)
        canvas.setFont(lettering.BOLD, 74)
        canvas.drawCentredString(0, -20, mark)
        canvas.restoreState()
