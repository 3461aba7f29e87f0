"""The dummy scheme: tags computed elsewhere, and its meter side against the meter on paper, reply for reply."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dlt645.frame import Frame, encode, parse
from core.dlt645.prepaid import (
    OPEN_ACCOUNT,
    RECHARGE,
    Account,
    AuthenticateIdentity,
    Credit,
    EndAuthentication,
    IdentityReply,
    OpenAccount,
    QueryStatus,
    Recharge,
    SetValidity,
    Status,
)
from core.dlt645.security import Serr
from core.errors import ProtocolMisuse
from core.vending import DummyEsam, DummyVendingBackend, SecurityRefused, Session, VendingBackend, Wallet
from tests.core.prepaid_meter import PaperMeter

ADDRESS, CUSTOMER = "201412345678", "000000123456"
BACKEND: VendingBackend = DummyVendingBackend()
NONCE, RANDOM_2, SERIAL = bytes(range(8)), bytes.fromhex("A1A2A3A4"), bytes.fromhex("1122334455667788")
IDENTITY = BACKEND.identity(ADDRESS, NONCE)
SESSION = Session(ADDRESS, IDENTITY, RANDOM_2, SERIAL)
CREDIT = Credit(5000, 3, CUSTOMER)


def test_the_tags_are_those_that_openssl_computes() -> None:
    """`openssl dgst -sha256 -mac HMAC` over the bytes of the module's docstring, key by key."""
    assert IDENTITY.cipher.hex() == "b298e96bbd6ff178"
    assert IDENTITY.factor.hex() == "0000785634121420"
    macs = BACKEND.seal_credit(SESSION, RECHARGE, CREDIT)
    assert (macs.mac_1.hex(), macs.mac_2.hex()) == ("965cf372", "99363dc4")
    assert BACKEND.seal_validity(SESSION, 30).hex() == "bd973b37"
    told = Status(7003, bytes.fromhex("536a7dae"), 3, bytes.fromhex("22bc333c"), CUSTOMER)
    assert BACKEND.vouches_for(ADDRESS, told)


@pytest.mark.parametrize("wrong", [{"remaining_fen": 7004}, {"count": 4}, {"count_mac": bytes(4)}])
def test_a_status_with_a_wrong_mac_is_not_vouched_for(wrong: dict[str, Any]) -> None:
    right = {"remaining_fen": 7003, "remaining_mac": bytes.fromhex("536a7dae"), "count": 3,
             "count_mac": bytes.fromhex("22bc333c"), "customer": CUSTOMER}  # fmt: skip
    assert BACKEND.vouches_for(ADDRESS, Status(**right))
    assert not BACKEND.vouches_for(ADDRESS, Status(**(right | wrong)))
    assert not BACKEND.vouches_for("201412345679", Status(**right))


def esam(**wallet: Any) -> DummyEsam:
    return DummyEsam(ADDRESS, Wallet(**({"customer": CUSTOMER, "count": 2} | wallet)), SERIAL)


def ask(module: DummyEsam, command: Any, now_s: float = 0.0) -> bytes | Serr:
    """The data behind the identifier, or the error word."""
    try:
        return module.answer(command.body(), now_s, RANDOM_2)[4:]
    except SecurityRefused as refused:
        return refused.serr


def hello() -> AuthenticateIdentity:
    return AuthenticateIdentity(ADDRESS, IDENTITY.cipher, IDENTITY.random, IDENTITY.factor)


def sealed(kind: type[Recharge], amount_fen: int, count: int, customer: str = CUSTOMER) -> Recharge:
    credit = Credit(amount_fen, count, customer)
    macs = BACKEND.seal_credit(SESSION, kind.DI, credit)
    return kind(ADDRESS, credit, macs.mac_1, macs.mac_2)


def test_a_purchase_needs_an_authentication_that_holds() -> None:
    module = esam()
    assert ask(module, sealed(Recharge, 5000, 3)) is Serr.IDENTITY
    assert IdentityReply.read(ask(module, hello())) == IdentityReply(RANDOM_2, SERIAL)
    assert module.is_authenticated(299.9)
    assert not module.is_authenticated(300.0)
    assert ask(module, sealed(Recharge, 5000, 3), 300.0) is Serr.IDENTITY
    assert ask(module, sealed(Recharge, 5000, 3), 299.9) == b""
    assert Account.read(ask(module, EndAuthentication(ADDRESS))) == Account(CUSTOMER, 5000, 3)
    assert ask(module, sealed(Recharge, 5000, 4)) is Serr.IDENTITY
    status = Status.read(ask(module, QueryStatus(ADDRESS)))
    assert BACKEND.vouches_for(ADDRESS, status)
    assert (status.remaining_fen, status.count) == (5000, 3)


@pytest.mark.parametrize(
    ("request_", "serr"),
    [
        (sealed(Recharge, 5000, 2), Serr.REPEATED),
        (sealed(Recharge, 5000, 1), Serr.COUNT),
        (sealed(Recharge, 5000, 4), Serr.COUNT),
        (sealed(Recharge, 99_999_999 - 999, 3), Serr.HOARDING),
        (sealed(Recharge, 5000, 3, "000000999999"), Serr.CUSTOMER),
        (Recharge(ADDRESS, CREDIT, bytes(4), bytes(4)), Serr.ESAM),
        (Recharge(ADDRESS, Credit(5000, 3, "000000999999"), bytes(4), bytes(4)), Serr.CUSTOMER),
        (Recharge(ADDRESS, Credit(5000, 9, CUSTOMER), bytes(4), bytes(4)), Serr.ESAM),
        (sealed(OpenAccount, 5000, 3), Serr.COUNT),
        (SetValidity(ADDRESS, 1, bytes(4)), Serr.ESAM),
        (AuthenticateIdentity(ADDRESS, bytes(8), NONCE, IDENTITY.factor), Serr.IDENTITY),
        (AuthenticateIdentity(ADDRESS, IDENTITY.cipher, NONCE, bytes(8)), Serr.IDENTITY),
    ],
)
def test_what_the_module_refuses(request_: Any, serr: Serr) -> None:
    module = esam(remaining_fen=1000)
    ask(module, hello())
    assert ask(module, request_) is serr
    assert (module.wallet.count, module.wallet.remaining_fen, len(module.wallet.bookings)) == (2, 1000, 0)


def test_macs_of_opening_an_account_do_not_recharge() -> None:
    module = esam()
    ask(module, hello())
    opening = BACKEND.seal_credit(SESSION, OPEN_ACCOUNT, CREDIT)
    assert ask(module, Recharge(ADDRESS, CREDIT, opening.mac_1, opening.mac_2)) is Serr.ESAM


def test_an_account_is_opened_once_and_names_the_customer() -> None:
    module = esam(customer="0" * 12, count=0)
    ask(module, hello())
    assert ask(module, sealed(OpenAccount, 5000, 1)) == b""
    assert module.wallet.customer == CUSTOMER
    assert ask(module, sealed(OpenAccount, 5000, 2)) is Serr.COUNT
    assert ask(module, sealed(Recharge, 700, 2)) == b""
    assert [(b.credit.count, b.before_fen, b.after_fen, b.total_fen) for b in module.wallet.bookings] == [
        (2, 5000, 5700, 5700), (1, 0, 5000, 5000),
    ]  # fmt: skip


def test_an_overdraft_is_paid_first_and_counts_against_the_limit() -> None:
    module = esam(overdraft_fen=700, hoard_limit_fen=1000)
    ask(module, hello())
    assert ask(module, sealed(Recharge, 500, 3)) == b""
    assert (module.wallet.remaining_fen, module.wallet.overdraft_fen) == (0, 200)
    assert ask(module, sealed(Recharge, 1201, 4)) is Serr.HOARDING
    assert ask(module, sealed(Recharge, 1200, 4)) == b""
    assert (module.wallet.remaining_fen, module.wallet.overdraft_fen) == (1000, 0)


def test_validity_is_set_and_too_many_wrong_macs_suspend() -> None:
    module = esam()
    ask(module, hello())
    assert ask(module, SetValidity(ADDRESS, 30, BACKEND.seal_validity(SESSION, 30))) == b""
    ask(module, hello(), 1000.0)
    assert module.is_authenticated(2799.0)
    for _ in range(201):
        assert ask(module, hello()) != Serr.SUSPENDED
        assert ask(module, Recharge(ADDRESS, CREDIT, bytes(4), bytes(4))) is Serr.ESAM
    assert ask(module, hello()) is Serr.SUSPENDED


@pytest.mark.parametrize("data", ["", "FF020107", "FF02010700000000", "FF01020700000000", "FF028107000000 0000"])
def test_a_request_without_its_layout_is_another_error(data: str) -> None:
    with pytest.raises(SecurityRefused) as refused:
        esam().answer(bytes.fromhex(data), 0.0, RANDOM_2)
    assert refused.value.serr is Serr.OTHER


@pytest.mark.parametrize(
    "wrong", [lambda: BACKEND.identity("A" * 12, NONCE), lambda: BACKEND.identity(ADDRESS, bytes(7))]
)
def test_a_wildcard_or_a_short_nonce_is_our_mistake(wrong: Any) -> None:
    with pytest.raises(ProtocolMisuse):
        wrong()


STORY = st.lists(
    st.tuples(
        st.sampled_from(("hello", "end", "status", "buy", "buy", "buy", "forged", "stranger")),
        st.integers(-1, 2),
        st.integers(1, 9000),
        st.sampled_from((1, 100, 301)),
    ),
    max_size=12,
)


@given(STORY)
def test_the_module_and_the_meter_on_paper_answer_alike(story: list[tuple[str, int, int, int]]) -> None:
    paper, module = PaperMeter(ADDRESS, CUSTOMER, 2), esam(hoard_limit_fen=9000)
    paper.hoard_fen, now_s, random, session = 9000, 0.0, bytes(4), SESSION
    for what, ahead, amount_fen, seconds in story:
        now_s += seconds
        command: Any = {"hello": hello(), "end": EndAuthentication(ADDRESS)}.get(what, QueryStatus(ADDRESS))
        if what in ("buy", "forged", "stranger"):
            customer = "000000999999" if what == "stranger" else CUSTOMER
            credit = Credit(amount_fen, paper.count + ahead, customer)
            macs = BACKEND.seal_credit(session, RECHARGE, credit)
            command = Recharge(ADDRESS, credit, macs.mac_1, bytes(4) if what == "forged" else macs.mac_2)
        heard = parse(paper.hear(encode(command.to_frame(), 0), now_s))
        random = bytes.fromhex(paper.random or "00000000")
        try:
            said = Frame(ADDRESS, 0x83, module.answer(command.body(), now_s, random))
        except SecurityRefused as refused:
            said = Frame(ADDRESS, 0xC3, refused.serr.to_bytes(2, "little"))
        assert said == heard
        session = Session(ADDRESS, IDENTITY, random, SERIAL)
    assert (module.wallet.count, module.wallet.remaining_fen) == (paper.count, paper.left_fen)
