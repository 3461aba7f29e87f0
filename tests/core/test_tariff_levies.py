"""Levies apart from ratios: base x ratio, then the levies on top, exactly; and prices that contain their levies."""

import pytest

from core.tariff import TariffError, tariff_from_dict, tariff_to_dict

GUANGZHOU = {
    "id": "guangzhou", "valid_from": "2021-10-01", "base": "0.5802",
    "ratios": {"peak": "1.7", "flat": "1", "valley": "0.38"}, "levies": "0.00866875",
}  # fmt: skip


def version(**changes):
    return tariff_from_dict(GUANGZHOU | changes).versions[0]


def test_guangzhou_comes_out_as_published():
    found = version()
    assert found.rate_prices_nf_per_wh == (58_886_875, 99_500_875, 58_886_875, 22_914_475)
    assert (found.kind, found.levies_nf_per_wh) == ("tou", 866_875)


def test_the_ratio_before_october_2021_too():
    old = version(ratios={"peak": "1.65", "flat": "1", "valley": "0.5"})
    assert old.rate_prices_nf_per_wh == (58_886_875, 96_599_875, 58_886_875, 29_876_875)


def test_the_canonical_form_keeps_the_levies():
    tariff = tariff_from_dict(GUANGZHOU)
    assert tariff_from_dict(tariff_to_dict(tariff)) == tariff


def test_prices_given_as_such_contain_their_levies():
    single = tariff_from_dict({"id": "x", "valid_from": "2021-01-01", "price": "0.58886875", "levies": "0.00866875"})
    assert single.versions[0].rate_prices_nf_per_wh == (58_886_875,) * 4
    assert single.versions[0].levies_nf_per_wh == 866_875


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"base": "0.58886875"}, "more than eight decimals"),
        ({"ratios": {"valley": "0.38"}}, "at least flat or peak"),
        ({"levies": "-0.1"}, "levies of"),
        ({"price": "0.5"}, "exactly one of"),
        ({"levies_nf_per_wh": 5}, "exactly one of"),
    ],
)
def test_what_is_no_legal_price_is_refused(changes, complaint):
    with pytest.raises(TariffError, match=complaint):
        version(**changes)


def test_base_and_ratios_belong_together():
    for lost in ("base", "ratios"):
        table = {key: value for key, value in GUANGZHOU.items() if key != lost}
        with pytest.raises(TariffError, match=r"belong together|exactly one of"):
            tariff_from_dict(table)
    with pytest.raises(TariffError, match="belong together"):
        tariff_from_dict({"id": "x", "valid_from": "2021-01-01", "price": "1", "ratios": {"peak": "1"}})


def test_levies_above_a_price_are_refused():
    with pytest.raises(TariffError, match="prices contain the levies"):
        tariff_from_dict({"id": "x", "valid_from": "2021-01-01", "price": "0.01", "levies": "0.02"})
