"""No float between a register and a bill, and none in the ledger: checked on the syntax tree, `.pyx` included."""

import ast
import re

import pytest

from tests.house.sources import ROOT, name

MONEY_PATH = [
    ROOT / path
    for path in (
        "core/units.py",
        "core/reading.py",
        "core/tariff.py",
        "core/dlt645/prepaid.py",
        "core/vending/outcomes.py",
        "core/vending/dummy.py",
        "server/domain/archive.py",
        "server/domain/ledger.py",
        "server/domain/billing.py",
        "server/domain/plain_charges.py",
        "server/domain/payments.py",
        "server/domain/reconciliation.py",
        "server/domain/refunds.py",
        "server/domain/verification_refunds.py",
        "server/domain/local_fee.py",
        "server/flows/recharges.py",
        "server/flows/archive.py",
        "server/flows/billing.py",
        "server/flows/crediting.py",
        "server/flows/ledger.py",
        "server/flows/partners.py",
        "server/flows/payments.py",
        "server/flows/reconciliation.py",
        "server/flows/refunds.py",
        "server/flows/suspense.py",
        "server/pay/alipay.py",
        "server/pay/alipay_seal.py",
        "server/pay/bills.py",
        "server/pay/hmac.py",
        "server/pay/wechat.py",
        "server/pay/wechat_seal.py",
        "server/pay/yuan.py",
        "server/store/archive.py",
        "server/store/archive_file.py",
        "server/store/ledger.py",
        "server/store/payments.py",
        "server/store/reconciliation.py",
        "server/store/refunds.py",
        "server/store/schema.py",
        "server/web/figures.py",
        "server/web/formats.py",
        "sim/truth.py",
    )
]


def floats_in(text):
    """Lines on which a float literal, `float`, a true division or a rounding of one appears."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append((node.lineno, repr(node.value)))
        if isinstance(node, ast.Name) and node.id == "float":
            found.append((node.lineno, "float"))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            found.append((node.lineno, "/"))
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append((node.lineno, "/="))
    return found


@pytest.mark.parametrize("path", MONEY_PATH, ids=name)
def test_no_float_in_the_money_path(path):
    found = floats_in(path.read_text("utf-8"))
    if path.name == "truth.py":  # Fractions divide exactly; only literals and `float` are forbidden there
        found = [hit for hit in found if hit[1] not in ("/", "/=")]
    assert found == []


def test_no_float_in_the_deduction_kernel():
    text = (ROOT / "core" / "_deduct.pyx").read_text("utf-8")
    code = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
    code = "\n".join(line.split("#", 1)[0] for line in code.splitlines())
    code = re.sub(r'"[^"\n]*"', '""', code)
    assert re.findall(r"\b(?:double|float)\b|\b\d+\.\d+\b|(?<!/)/(?!/)", code) == []


def test_the_check_finds_what_it_forbids():
    assert [hit for _, hit in sorted(floats_in("a = 1.5\nb = float(a)\nc = a / b\nc /= 2\n"))] == [
        "1.5",
        "float",
        "/",
        "/=",
    ]
    assert floats_in("a = 7 // 2") == []
