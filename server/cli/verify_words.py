"""The report of `verify` line by line, in the languages asked for; what each mismatch found stays in English."""

from collections.abc import Iterator

from server.cli.languages import chinese, heard, told
from server.cli.languages import mark as _
from server.domain.verification import VerifyReport

SHOWN_MAX = 50


def lines_of(report: VerifyReport, lang: str, not_whole: int) -> Iterator[str]:
    """What was counted, what vouches for it, what could not be looked at, and what does not agree."""
    yield told(
        _(
            "estate %(estate)s: %(accounts)d accounts, %(meters)d meters, %(batches)d batches, %(lines)d lines, "
            "%(charges)d charges recomputed (%(estimated)d split by time), %(payments)d payments, %(settlements)d "
            "closed periods"
        ),
        lang, estate=report.estate_id, accounts=report.accounts, meters=report.meters, batches=report.batches,
        lines=report.lines, charges=report.charges, estimated=report.estimated, payments=report.payments,
        settlements=report.settlements,
    )  # fmt: skip
    sealed = _("sealed %(sealed)d batches, unsealed tail %(unsealed)d")
    yield "  " + told(sealed, lang, sealed=report.sealed, unsealed=report.unsealed)
    if report.headed:
        vouched = _("signed heads lead up to batch %(batch)d; after it only the database vouches for itself")
        yield "  " + told(vouched, lang, batch=report.headed)
    else:
        alone = _("no signed heads: only the database vouches for its seals (--heads FILE --public-key FILE)")
        yield "  " + told(alone, lang)
    for what in filter(None, (report.heads_missing, report.heads_late)):
        yield "  " + told(_("NOT PROVEN: %(what)s"), lang, what=heard(what))
    for what in report.unchecked:
        yield "  " + told(_("NOT CHECKED: %(what)s"), lang, what=heard(what))
    yield from _mismatches(report, lang)
    if not report.is_whole and not report.mismatches:
        whole = _("exit code %(code)d: nothing is wrong in what was at hand, but that was not all")
        yield "  " + told(whole, lang, code=not_whole)


def _mismatches(report: VerifyReport, lang: str) -> Iterator[str]:
    for one in report.mismatches[:SHOWN_MAX]:
        mark = _("MISMATCH invariant %(number)d") if lang != "zh" else chinese(_("MISMATCH invariant %(number)d"))
        yield f"  {mark % {'number': one.invariant}}: {one.subject}: {one.detail}"
    count = len(report.mismatches)
    if count > SHOWN_MAX:
        yield "  " + told(_("... and %(count)d more; --json lists all"), lang, count=count - SHOWN_MAX)
    text = _("%(count)d mismatches in what was checked") if report.unchecked else _("%(count)d mismatches")
    yield "  " + told(text, lang, count=count)
