"""Bill files of providers, read without believing them: every row, every sum and the end of the file must be there.

WeChat Pay: CSV in UTF-8 (in GB 18030 where a person fetched it at the merchant platform), plain or as GZIP, one
header, each value behind a backtick, two lines of sums at the end; refunds are rows of their own. Alipay: CSV in
GB 18030, in a ZIP archive beside a summary, comment lines that begin with `#` around the header and the rows, and sums
in comments; amounts of refunds are negative. Neither quotes anything: names of goods may hold commas and quotes, so a
row of WeChat is parted where a comma precedes a backtick, and what is too much in a row of Alipay belongs to its name
of goods. Integrators and the test wallet: a JSON object with `rows`. Amounts are yuan as text in the first two, whole
fen in the last. Times are Beijing's.
"""

import io
import re
import struct
import zipfile
import zlib
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from server.domain.reconciliation import DONE, FAILED, PAYMENT, PENDING, REFUND, BillRow
from server.errors import CallbackRejected, Refused
from server.pay.yuan import fen_of_yuan
from server.signing.fields import AMOUNT_FEN_MAX, MACHINE_MS_MAX, number, object_of, text

BILL_BYTES_MAX = 64 * 1024 * 1024
ROWS_MAX = 500_000
BEIJING = ZoneInfo("Asia/Shanghai")
WECHAT_STATES = {"SUCCESS": DONE, "REVOKED": FAILED}
WECHAT_REFUNDS = {
    "SUCCESS": DONE, "PROCESSING": PENDING, "CHANGE": PENDING, "ABNORMAL": PENDING, "FAIL": FAILED, "CLOSED": FAILED,
}  # fmt: skip
GOODS, BEGUN = "商品名称", "创建时间"  # columns of Alipay
SUMMARY = ("汇总", "_SUMMARY")  # in the names of files that hold sums only
BROKEN_ARCHIVE = (  # what the reader of archives raises for bytes that are none
    zipfile.BadZipFile, OSError, RuntimeError, ValueError, EOFError, OverflowError, zlib.error, struct.error,
)  # fmt: skip
ALIPAY_KINDS = {"交易": PAYMENT, "退款": REFUND}
_COUNTS = re.compile(r"#(交易合计|退款合计)[:：](\d+)笔")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_LINE = re.compile("\r?\n")  # and nothing else: names of goods may hold other separators
_ACCOUNT = re.compile(r"#账号[:：]\[(\d+)\]")


def read_wechat(content: bytes, mchid: str) -> list[BillRow]:
    """The rows of a trade bill of all kinds; Refused naming the line that is wrong, or another merchant's file."""
    if not content.strip():
        return []
    lines = _LINE.split(_text(_inflated(content), "utf-8-sig", "gb18030"))
    head = _cells(lines[0])
    rows: list[BillRow] = []
    for number_, line in enumerate(lines[1:], 2):
        if line.startswith("总交易单数"):
            counted = _ticked("".join(lines[number_ : number_ + 1]))
            if counted[0] != str(len(rows)):
                raise Refused(
                    f"the file says {counted[0] or 'nothing'} of its rows, but has {len(rows)}; fetch it again"
                )
            return rows
        rows.append(_wechat_row(_named(head, _ticked(line), number_), mchid, number_))
    raise Refused("the file ends before its sums; fetch it again")


def _wechat_row(cells: Mapping[str, str], mchid: str, line: int) -> BillRow:
    if _of(cells, line, "商户号") != mchid:
        raise Refused(f"line {line}: the file is of another merchant")
    if _of(cells, line, "货币种类") != "CNY":
        raise Refused(f"line {line}: another currency than CNY")
    state, at_ms = _of(cells, line, "交易状态"), _beijing_ms(_of(cells, line, "交易时间"), line)
    order_no, transaction_id = _of(cells, line, "商户订单号"), _of(cells, line, "微信订单号")
    if state == "REFUND":
        amount_fen = _fen(_first(cells, line, "申请退款金额", "退款金额"), line)
        done = WECHAT_REFUNDS.get(_of(cells, line, "退款状态"))
        if done is None:
            raise Refused(f"line {line}: the state {_of(cells, line, '退款状态')!r} of a refund is unknown")
        return BillRow(REFUND, order_no, _of(cells, line, "商户退款单号"), transaction_id, amount_fen, done, at_ms)
    if state not in WECHAT_STATES:
        raise Refused(f"line {line}: the state {state!r} is unknown")
    amount_fen = _fen(_first(cells, line, "订单金额", "应结订单金额", "总金额"), line)
    return BillRow(PAYMENT, order_no, "", transaction_id, amount_fen, WECHAT_STATES[state], at_ms)


def read_alipay(content: bytes, seller_id: str) -> list[BillRow]:
    """The rows of a bill of trades, out of its archive; Refused naming the line that is wrong, or another's file."""
    if not content.strip():
        return []
    head: list[str] | None = None
    counts: dict[str, int] = {}
    rows: list[BillRow] = []
    for number_, line in enumerate(_LINE.split(_text(_unpacked(content), "gb18030", "utf-8-sig")), 1):
        if line.startswith("#"):
            account, counted = _ACCOUNT.match(line), _COUNTS.match(line)
            if account is not None and not account[1].startswith(seller_id):
                raise Refused(f"line {number_}: the file is of another account")
            if counted is not None:
                counts[counted[1]] = int(counted[2])
        elif head is None:
            head = _cells(line)
        elif line.strip():
            rows.append(_alipay_row(_named(head, _goods_joined(head, _cells(line)), number_), number_))
    for name, kind in (("交易合计", PAYMENT), ("退款合计", REFUND)):
        have = sum(row.kind == kind for row in rows)
        if counts.get(name) != have:
            raise Refused(f"the file says {counts.get(name, 'nothing')} of {name}, but has {have}; fetch it again")
    return rows


def _alipay_row(cells: Mapping[str, str], line: int) -> BillRow:
    kind = ALIPAY_KINDS.get(_of(cells, line, "业务类型"))
    if kind is None:
        raise Refused(f"line {line}: the kind {_of(cells, line, '业务类型')!r} is unknown")
    amount = _of(cells, line, "订单金额（元）")
    refund_no = _of(cells, line, "退款批次号/请求号") if kind == REFUND else ""
    return BillRow(
        kind,
        _of(cells, line, "商户订单号"),
        refund_no,
        _of(cells, line, "支付宝交易号"),
        _fen(amount.removeprefix("-") if kind == REFUND else amount, line),
        DONE,
        _beijing_ms(_first(cells, line, "完成时间", "创建时间"), line),
    )


def read_json(content: bytes) -> list[BillRow]:
    """The rows of an integrator's or the test wallet's answer; Refused naming the row that is wrong."""
    try:
        listed = object_of(content).get("rows")
        if not isinstance(listed, list) or len(listed) > ROWS_MAX:
            raise Refused(f"the file needs a list of at most {ROWS_MAX} rows under the name rows")
    except CallbackRejected as error:
        raise Refused(f"the bill file cannot be read: {error}") from error
    rows: list[BillRow] = []
    for row, fields in enumerate(listed, 1):
        try:
            rows.append(_json_row(fields))
        except CallbackRejected as error:
            raise Refused(f"row {row}: {error}") from error
    return rows


def _json_row(fields: object) -> BillRow:
    if not isinstance(fields, dict):
        raise CallbackRejected("it is no object")
    kind, state = fields.get("kind"), fields.get("state")
    if kind not in (PAYMENT, REFUND) or state not in (DONE, PENDING, FAILED):
        raise CallbackRejected("it has an unknown kind or state")
    refund_no = text(fields, "refund_no") if kind == REFUND else ""
    amount_fen = number(fields, "amount_fen", AMOUNT_FEN_MAX)
    at_ms = number(fields, "at_ms", MACHINE_MS_MAX)
    return BillRow(kind, text(fields, "order_no"), refund_no, text(fields, "transaction_id"), amount_fen, state, at_ms)


def _inflated(content: bytes) -> bytes:
    """The file itself, where it comes compressed (tar_type=GZIP)."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    packed = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = packed.decompress(content, BILL_BYTES_MAX)
    except zlib.error as error:
        raise Refused("the file cannot be unpacked; fetch it again") from error
    if not packed.eof or not plain.strip():
        raise Refused(f"the file is not whole, or larger than {BILL_BYTES_MAX} bytes")
    return plain


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"PK"):
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for one in archive.infolist():
                name = one.filename.encode("cp437", "replace").decode("gb18030", "replace") + one.filename
                if name.lower().endswith(".csv") and not any(word in name for word in SUMMARY):
                    if one.file_size > BILL_BYTES_MAX:
                        raise Refused(f"the file is larger than {BILL_BYTES_MAX} bytes")
                    return archive.read(one)
    except BROKEN_ARCHIVE as error:
        raise Refused(f"the archive cannot be opened ({type(error).__name__}); fetch it again") from error
    raise Refused("the archive holds no bill of single trades")


def _text(content: bytes, *encodings: str) -> str:
    """The text in the first of these encodings that fits; a byte order mark decides for UTF-8."""
    if content.startswith(BOM_UTF8):
        encodings = ("utf-8-sig",)
    for encoding in encodings:
        try:
            written = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise Refused(f"the file is not in {' or '.join(encodings)}")
    if "\x00" in written:
        raise Refused("the file holds a NUL character")
    return written


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


def _ticked(line: str) -> list[str]:
    """The values of a line of WeChat: each behind a backtick, so that a comma within one parts nothing."""
    if not line.startswith("`"):
        return _cells(line)
    return [cell.strip() for cell in line.strip().removeprefix("`").split(",`")]


def _goods_joined(head: Sequence[str], cells: list[str]) -> list[str]:
    """A row of Alipay with its free texts whole: what it has too much belongs to the name of goods, or else, where
    the time stands where it should, to the remark at its end.
    """
    more = len(cells) - len(head)
    if more <= 0 or GOODS not in head or BEGUN not in head:
        return cells
    if _TIME.fullmatch(cells[head.index(BEGUN)]):
        return [*cells[: len(head) - 1], ",".join(cells[len(head) - 1 :])]
    at = head.index(GOODS)
    return [*cells[:at], ",".join(cells[at : at + more + 1]), *cells[at + more + 1 :]]


def _named(head: Sequence[str], cells: Sequence[str], line: int) -> dict[str, str]:
    if len(cells) < len(head) - head.count("") or any(cells[len(head) :]):
        raise Refused(f"line {line}: {len(cells)} of {len(head)} columns")
    return dict(zip(head, cells, strict=False))


def _of(cells: Mapping[str, str], line: int, name: str) -> str:
    return _first(cells, line, name)


def _first(cells: Mapping[str, str], line: int, *names: str) -> str:
    """The value of the first of these columns that the file has."""
    for name in names:
        if name in cells:
            return cells[name]
    raise Refused(f"line {line}: the column {names[0]} is missing; is this the bill of single trades?")


def _fen(written: str, line: int) -> int:
    try:
        return fen_of_yuan(written)
    except CallbackRejected as error:
        raise Refused(f"line {line}: {error}") from error


def _beijing_ms(written: str, line: int) -> int:
    try:
        at = datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING)
    except ValueError as error:
        raise Refused(f"line {line}: {written!r} is no time") from error
    return int(at.timestamp()) * 1000
