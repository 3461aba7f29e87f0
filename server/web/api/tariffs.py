"""Tariffs: what is in force and planned, drafts until two people publish them, and re-ratings.

A document is a tariff as an estate file holds it, in TOML or JSON. What waits for a second person is among the
approvals.
"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import Field
from sqlalchemy import RowMapping

from core.tariff import tariff_to_dict
from server.errors import NotFound
from server.flows import approvals, rerating
from server.flows import tariffs as flows
from server.price_lists import price_lists
from server.store import rerating as rerates_kept
from server.store import tariff_drafts as kept
from server.store.comparison import accounts_on
from server.store.tariffs import load_tariffs
from server.store.unit import Deed
from server.web.api.paging import INT64_MAX
from server.web.api.shapes import Nanofen, Shape, shape_row
from server.web.deps import Reader, State, need
from server.web.principal import Principal

router = APIRouter(prefix="/api/v1/tariffs", tags=["tariffs"])
Viewer = Annotated[Principal, Depends(need("tariff.view"))]
Publisher = Annotated[Principal, Depends(need("tariff.edit", fresh=True))]
Editor = Annotated[Principal, Depends(need("tariff.edit"))]
DraftId = Annotated[str, Path(max_length=64, pattern=r"^[!-~]+$")]
TEXT = r"^[^\x00]*$"


class Tariff(Shape):
    """A tariff with all its versions, ascending; prices in nanofen per Wh."""

    tariff_id: str
    name: str
    time_zone: str
    households: int
    versions: list[dict[str, Any]]


class Published(Shape):
    """A published price list; below good it is not sure, and none replaces the text of the price authority."""

    list_id: str
    place: str
    place_en: str
    title: str
    title_en: str
    quality: str = Field(description="very good, good, fair, weak or example")
    is_sure: bool
    checked: str = Field(description="month in which it was looked up")
    sources: list[str]
    note: str
    note_en: str
    document: dict[str, Any]


class Document(Shape):
    """A draft: one tariff, with the versions that are to come."""

    document: str = Field(min_length=1, max_length=100_000, pattern=TEXT)
    note: str = Field("", max_length=500, pattern=TEXT)


class Kept(Shape):
    """The draft that stands for the document."""

    draft_id: str


class SimulatedHousehold(Shape):
    """One household over the simulated year; without `known`, the new tariff needs rates that were never read."""

    account_id: str
    room_id: str
    energy_wh: int
    old_nf: Nanofen
    new_nf: Nanofen
    known: bool


class Simulation(Shape):
    """The last year's energy by the version in force (`old`) and by the draft's first new one (`new`)."""

    of: str = Field(description="the tariff whose households were taken")
    version_at: int
    from_at: int
    until_at: int
    accounts: int
    compared: int
    unknown: int
    energy_wh: int
    old_nf: Nanofen
    new_nf: Nanofen
    households: list[SimulatedHousehold]


class Draft(Shape):
    """A draft and what became of it."""

    draft_id: str
    tariff_id: str
    status: str = Field(description="draft, published or discarded")
    note: str
    actor: str
    created_ms: int
    decided_ms: int | None
    document: str
    versions: list[dict[str, Any]]
    simulation: Simulation | None


class Source(Shape):
    """Whose energy a draft is simulated on; empty: the households on its own tariff."""

    of: str = Field("", max_length=64, pattern=TEXT)


class RerateWish(Shape):
    """Charge a span of the past again by the tariff that should have held."""

    document: str = Field(min_length=1, max_length=100_000, pattern=TEXT)
    from_at: int = Field(ge=0, le=INT64_MAX)
    until_at: int = Field(ge=0, le=INT64_MAX)
    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")


class Rerate(Shape):
    """A re-rating and how far it is; `corrected_fen` is what households owe more."""

    rerate_id: str
    tariff_id: str
    from_at: int
    until_at: int
    reason: str
    status: str = Field(description="asked, running, done or withdrawn")
    corrected: int
    corrected_fen: int
    actor: str
    created_ms: int
    done_ms: int | None


class Waiting(Shape):
    """The request that waits for a second person."""

    approval_id: str


def simulation_of(text: str | None) -> Simulation | None:
    """What a draft's simulation said."""
    if not text:
        return None
    said = json.loads(text)
    homes = [
        SimulatedHousehold(
            account_id=one[0],
            room_id=one[1],
            energy_wh=one[2],
            old_nf=one[3],
            new_nf=one[4] or "0",
            known=one[4] is not None,
        )
        for one in said.pop("households")
    ]
    return Simulation(version_at=said.pop("version_s"), **said, households=homes)


def _draft(row: RowMapping) -> Draft:
    values = {name: row[name] for name in Draft.model_fields if name in row and name != "simulation"}
    versions = json.loads(row["definition"])["versions"]
    return Draft(**values, versions=versions, simulation=simulation_of(row["simulation"]))


@router.get("", response_model=list[Tariff], summary="All tariffs with their versions")
def tariffs(conn: Reader, who: Viewer) -> list[Tariff]:
    """By id."""
    found = []
    for tariff_id, one in sorted(load_tariffs(conn, who.estate_id).items()):
        households = len(accounts_on(conn, who.estate_id, tariff_id))
        versions = tariff_to_dict(one)["versions"]
        found.append(
            Tariff(
                tariff_id=tariff_id, name=one.name, time_zone=one.time_zone, households=households, versions=versions
            )
        )
    return found


@router.get("/published", response_model=list[Published], summary="Published price lists with sources and marks")
def published(who: Viewer) -> list[Published]:
    """As shipped: dated, sourced, the unsure ones marked."""
    names = Published.model_fields.keys() - {"document", "sources"}
    return [
        Published(**{name: getattr(one, name) for name in names}, sources=list(one.sources), document=one.document())
        for one in price_lists().values()
    ]


@router.get("/drafts", response_model=list[Draft], summary="Drafts, newest first")
def drafts(conn: Reader, who: Viewer) -> list[Draft]:
    """The newest fifty, published and discarded ones too."""
    return [_draft(row) for row in kept.newest(conn, who.estate_id)]


@router.post("/drafts", response_model=Kept, status_code=201, summary="Keep a draft")
def save(state: State, who: Editor, draft: Document) -> Kept:
    """Checked as a whole: the document, what has begun, the price cap."""
    now = state.clock.now()
    found = state.writer.run(
        Deed(flows.save_draft, who.estate_id, draft.document, note=draft.note, actor=who.login, now=now)
    )
    return Kept(draft_id=found)


@router.get("/drafts/{draft_id}", response_model=Draft, summary="One draft with its simulation")
def draft(conn: Reader, who: Viewer, draft_id: DraftId) -> Draft:
    """The document as it was written, and the whole tariff as it would be."""
    row = kept.get(conn, who.estate_id, draft_id)
    if row is None:
        raise NotFound(f"no draft {draft_id}")
    return _draft(row)


@router.post("/drafts/{draft_id}/simulate", response_model=Simulation, summary="Simulate it on the last year")
def simulate(state: State, conn: Reader, who: Editor, draft_id: DraftId, source: Source) -> Simulation | None:
    """Exact for each household; kept with the draft."""
    found = flows.simulate(conn, who.estate_id, draft_id, state.clock.now(), of=source.of or None)
    state.writer.run(Deed(flows.keep_simulation, who.estate_id, draft_id, found))
    return simulation_of(json.dumps(found))


@router.post("/drafts/{draft_id}/publish", response_model=Waiting, status_code=202, summary="Ask to publish it")
def publish(state: State, who: Publisher, draft_id: DraftId) -> Waiting:
    """Waits for a second person; the versions begin when they say."""
    now = state.clock.now()
    found = state.writer.run(Deed(approvals.request_publication, who.estate_id, draft_id, actor=who.login, now=now))
    return Waiting(approval_id=found)


@router.post("/drafts/{draft_id}/discard", status_code=204, summary="Put it aside")
def discard(state: State, who: Editor, draft_id: DraftId) -> None:
    """It stays in the list."""
    now = state.clock.now()
    state.writer.run(Deed(flows.discard, who.estate_id, draft_id, actor=who.login, now=now))


@router.get("/rerates", response_model=list[Rerate], summary="Re-ratings, newest first")
def rerates(conn: Reader, who: Viewer) -> list[Rerate]:
    """The newest fifty."""
    return [shape_row(Rerate, row) for row in rerates_kept.newest(conn, who.estate_id)]


@router.post("/rerates", response_model=Waiting, status_code=202, summary="Ask to charge a past span again")
def rerate(state: State, conn: Reader, who: Publisher, wish: RerateWish) -> Waiting:
    """Corrections are posted once a second person has agreed; nothing that was booked is edited."""
    now = state.clock.now()
    planned, found = rerating.plan(conn, who.estate_id, wish.document, wish.from_at, wish.until_at, wish.reason, now)
    approval_id = state.writer.run(
        Deed(approvals.request_rerate, who.estate_id, planned, found, actor=who.login, now=now)
    )
    return Waiting(approval_id=approval_id)
