"""Bill files laid out as the vendors' pages and published samples have them, column by column."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from server.errors import Refused
from tests.server.pay.bill_files import wechat_file, wechat_row
from tests.server.pay.sides import Alipay, Wechat

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "bill_files.json").read_text("utf-8"))


class Named(zipfile.ZipInfo):
    """A member whose name is written in GBK without the flag for UTF-8, as Alipay's archives have it."""

    def _encodeFilenameFlags(self):
        return self.filename.encode("gbk"), self.flag_bits


def content_of(vector):
    written = vector["end"].join(vector["lines"]).encode(vector["encoding"])
    if "archive" not in vector:
        return written
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in zip(vector["archive"], ("sums".encode("gbk"), written), strict=True):
            archive.writestr(Named(name), content)
    return packed.getvalue()


@pytest.mark.parametrize("vector", VECTORS, ids=[one["name"] for one in VECTORS])
def test_a_file_in_the_vendors_layout_is_read_to_the_last_fen(vector):
    provider = {"wechat": Wechat, "alipay": Alipay}[vector["provider"]]().provider
    found = [
        [one.kind, one.order_no, one.refund_no, one.transaction_id, one.amount_fen, str(one.state), one.at_ms]
        for one in provider.read_bill(content_of(vector))
    ]
    assert found == vector["rows"]


def test_a_state_of_a_refund_that_no_manual_names_is_refused_and_not_taken_for_a_failure():
    with pytest.raises(Refused, match="of a refund is unknown"):
        Wechat().provider.read_bill(wechat_file(wechat_row(state="REFUND", refund_state="NEW")))


def test_a_file_that_is_only_a_mark_is_no_bill():
    with pytest.raises(Refused):
        Wechat().provider.read_bill("\ufeff".encode())
