"""A printed sheet as a value: head, facts, tables and notes, from which page and PDF are both made.

So the printable page and the file cannot say different things. All texts are in the reader's language already; a cell
is a text, columns that hold figures are set to the right.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from xml.sax.saxutils import escape

from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.platypus import CondPageBreak, Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle
from starlette.responses import Response

CJK_FONT = "STSong-Light"  # one of the fonts of Adobe-GB1 that every reader of PDF stands in for, so none is embedded
LATIN_FONT, LATIN_BOLD = "Helvetica", "Helvetica-Bold"  # of the fourteen that every reader has
MINUS = "\u2212"  # not in WinAnsi
_NOT_LATIN = re.compile("[^\u0000-\u00ff\u2013\u2014\u2018\u2019\u201c\u201d\u2026]+")
BLOCK_BEGIN = 36 * mm  # a heading begins a page where less than itself and some rows has room; tables go on over pages
FRAME_PADDING = 6  # of the frame that the template makes
LINE, INK, QUIET = "#c9d1d3", "#12191b", "#5b686c"

TIGHT = (
    ("VALIGN", (0, 0), (-1, -1), "TOP"), ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5), ("LEFTPADDING", (0, 0), (0, -1), 0),
    ("RIGHTPADDING", (-1, 0), (-1, -1), 0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; `figures` sets it to the right."""

    name: str
    figures: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A heading with a table below it, a note, or both; the last `sums` rows are set strong."""

    heading: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    note: str = ""
    sums: int = 0


@dataclass(frozen=True, slots=True)
class Paper:
    """One sheet; `name` is that of its file, without an ending."""

    name: str
    title: str
    estate: str
    facts: tuple[tuple[str, str], ...]
    blocks: tuple[Block, ...]
    foot: tuple[str, ...] = field(default=())


def pdf_answer(paper: Paper) -> Response:
    """The sheet as a file to keep."""
    headers = {"Content-Disposition": f'attachment; filename="{paper.name}.pdf"'}
    return Response(pdf_of(paper), headers=headers, media_type="application/pdf")


def pdf_of(paper: Paper, *, compressed: bool = True) -> bytes:
    """The sheet as PDF, A4; the same sheet gives the same bytes."""
    _fonts()
    out = BytesIO()
    template = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=18 * mm, rightMargin=18 * mm, topMargin=16 * mm, bottomMargin=18 * mm,
        title=paper.title, author=paper.estate, creator="estate645", invariant=1, pageCompression=int(compressed),
    )  # fmt: skip
    story: list[Flowable] = [
        _said(paper.estate, 9, color=QUIET),
        _said(paper.title, 17, strong=True),
        Spacer(1, 3 * mm),
    ]
    width = template.width - 2 * FRAME_PADDING
    story.append(_facts(paper.facts, width))
    for block in paper.blocks:
        story += [CondPageBreak(BLOCK_BEGIN), Spacer(1, 5 * mm), _said(block.heading, 11.5, strong=True)]
        if block.rows:
            story.append(_table(block, width))
        if block.note:
            story += [Spacer(1, 1 * mm), _said(block.note, 8, color=QUIET)]
    story.append(Spacer(1, 6 * mm))
    story += [_said(line, 8, color=QUIET) for line in paper.foot]
    template.build(story)
    return out.getvalue()


@cache
def _fonts() -> None:
    registerFont(UnicodeCIDFont(CJK_FONT))


def _said(text: str, size: float, *, strong: bool = False, color: str = INK, right: bool = False) -> Paragraph:
    style = ParagraphStyle(
        "said", fontName=LATIN_BOLD if strong else LATIN_FONT, fontSize=size, leading=size * 1.4, textColor=color,
        wordWrap="CJK",
    )  # fmt: skip
    if right:
        style.alignment = TA_RIGHT
    return Paragraph(marked_up(text), style)


def marked_up(text: str) -> str:
    """The text as a paragraph takes it: what Latin fonts lack is set in the Chinese one."""
    plain = escape(text.replace(MINUS, "-"))
    return _NOT_LATIN.sub(lambda found: f'<font name="{CJK_FONT}">{found[0]}</font>', plain)


def _facts(facts: tuple[tuple[str, str], ...], width: float) -> Table:
    """Names and values in two pairs a row."""
    cells = [[_said(name, 8, color=QUIET), _said(value, 9)] for name, value in facts]
    if len(cells) % 2:
        cells.append(["", ""])
    rows = [[*cells[at], *cells[at + 1]] for at in range(0, len(cells), 2)]
    return Table(rows, colWidths=[width * share for share in (0.15, 0.37, 0.15, 0.33)], style=TableStyle(TIGHT))


def _table(block: Block, width: float) -> Table:
    figures = [column.figures for column in block.columns]
    head = [_said(column.name, 8, color=QUIET, right=column.figures) for column in block.columns]
    first_sum = len(block.rows) - block.sums
    rows = [
        [_said(cell, 9, right=right, strong=at >= first_sum) for cell, right in zip(row, figures, strict=True)]
        for at, row in enumerate(block.rows)
    ]
    shares = [2.0 if right else 3.0 for right in figures]
    widths = [width * share / sum(shares) for share in shares]
    lines = [("LINEBELOW", (0, 0), (-1, 0), 0.7, QUIET), ("LINEBELOW", (0, 1), (-1, -1), 0.3, LINE)]
    return Table([head, *rows], colWidths=widths, repeatRows=1, style=TableStyle([*TIGHT, *lines]))
