"""The report of a self-test as a PDF (A4), for whoever has to answer for the installation."""

from __future__ import annotations

import io
from typing import Any

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Table
from reportlab.platypus.flowables import Flowable, HRFlowable, Spacer

from portal.selftest.registry import Line, Verdict
from portal.selftest.running import Report
from screening.report import flow, lettering
from screening.report.flow import Words

MARGIN = 17 * mm
FOOT = 10 * mm
_LEGEND = (
    "ASVS: OWASP Application Security Verification Standard 5.0, sections. HIPAA: 45 CFR Part 164, "
    "paragraphs. A line shows that the installed portal does this today; it is no certificate, and "
    "neither standard consists of these lines alone. Lines marked “not applicable” say why."
)
_COLOURS = {
    Verdict.PASSED: flow.ACCENT,
    Verdict.FAILED: flow.BAD,
    Verdict.NOT_APPLICABLE: flow.SOFT,
}


def draw(report: Report) -> bytes:
    """The PDF."""
    target = io.BytesIO()
    template = BaseDocTemplate(
        target,
        pagesize=A4,
        title="ThoraScreen self-test",
        author="ThoraScreen",
        creator="ThoraScreen",
        lang="en",
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
    when = f"{report.ended_at:%Y-%m-%d %H:%M} UTC"

    def foot(canvas: Canvas, document: Any) -> None:
        said = f"ThoraScreen self-test · {when} · page {canvas.getPageNumber()}"
        flow.write(canvas, MARGIN, MARGIN + FOOT - 8, [said], flow.SMALL)

    template.addPageTemplates([PageTemplate("report", [frame], onPage=foot)])
    template.build(_story(report, when))
    return target.getvalue()


def _story(report: Report, when: str) -> list[Flowable]:
    return [
        Words("ThoraScreen self-test", flow.TITLE),
        Words(f"Begun {report.started_at:%Y-%m-%d %H:%M} UTC, ended {when}", flow.SMALL),
        Spacer(1, 6),
        HRFlowable(width="100%", thickness=0.7, color=flow.LINE, spaceAfter=5),
        Words(_summary(report), flow.LEAD),
        Words("What was examined", flow.HEADING),
        flow.Facts([(name, _clean(value)) for name, value in report.versions.items()], 2),
        Words("Line by line", flow.HEADING),
        _table(report),
        Spacer(1, 8),
        Words(_LEGEND, flow.SMALL),
    ]


def _summary(report: Report) -> str:
    counted = f"{report.count(Verdict.PASSED)} of {len(report.lines)} checks passed"
    rest = report.count(Verdict.NOT_APPLICABLE)
    spared = f", {rest} not applicable here" if rest else ""
    bad = f", {report.failures} FAILED" if report.failures else ", none failed"
    return f"{counted}{bad}{spared}."


def _table(report: Report) -> Table:
    room = A4[0] - 2 * MARGIN
    widths = [70, room - 70 - 128, 128]
    head = [Words(text, flow.SMALL) for text in ("Verdict", "What was seen", "Answers")]
    rows = [[head[0], head[1], head[2]], *(_row(line) for line in report.lines)]
    style: list[Any] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 8),
        ("TOPPADDING", (0, 0), (-1, -1), 3),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
        ("LINEBELOW", (0, 0), (-1, -1), 0.5, flow.LINE),
    ]
    return Table(rows, colWidths=widths, repeatRows=1, style=style)


def _row(line: Line) -> list[Any]:
    verdict = line.outcome.verdict
    mark = flow.Style(font=lettering.BOLD, colour=_COLOURS[verdict])
    figures = " · ".join(
        f"{name.replace('_', ' ')}: {value}" for name, value in line.outcome.figures.items()
    )
    seen: list[Flowable] = [
        Words(line.check.title, flow.STRONG),
        Words(_clean(line.outcome.sentence)),
    ]
    small = f"{figures} · {line.seconds:.1f} s" if figures else f"{line.seconds:.1f} s"
    seen.append(Words(_clean(small), flow.SMALL))
    answers = []
    if line.check.asvs:
        answers.append(Words(f"ASVS {', '.join(line.check.asvs)}", flow.SMALL))
    if line.check.hipaa:
        answers.append(Words(f"HIPAA {', '.join(line.check.hipaa)}", flow.SMALL))
    return [Words(verdict.value, mark), seen, answers]


def _clean(text: str) -> str:
    return lettering.clean(text)[0]
