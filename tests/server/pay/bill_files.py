"""Bill files as the providers make them, written from their manuals and independent of our reader."""

import io
import zipfile

WECHAT_HEAD = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
WECHAT_SUMS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
ALIPAY_HEAD = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)


def wechat_row(
    at="2026-11-26 12:00:00", order_no="o1", transaction="4200000001", yuan="50.05", state="SUCCESS", **more
):
    back = state == "REFUND"
    cells = [
        at, "wxd678efh567hg6787", more.get("mchid", "1900000001"), "0", "", transaction, order_no, "oUpF8uMuAJO",
        "NATIVE", state, "CMC", more.get("currency", "CNY"), "0.00" if back else yuan, "0.00",
        "50300000001" if back else "0", more.get("refund_no", "r1") if back else "0", yuan if back else "0.00", "0.00",
        "ORIGINAL" if back else "", more.get("refund_state", "SUCCESS") if back else "", "预存电费", "", "0.30000",
        "0.60%", "0.00" if back else yuan, yuan if back else "0.00", "",
    ]  # fmt: skip
    return ",".join(f"`{cell}" for cell in cells)


def wechat_file(*rows, count=None, head=WECHAT_HEAD):
    number = len(rows) if count is None else count
    lines = ["\ufeff" + head, *rows, WECHAT_SUMS, f"`{number},`50.05,`0.00,`0.00,`0.30000,`50.05,`0.00"]
    return ("\r\n".join(lines) + "\r\n").encode()


def alipay_row(
    at="2026-11-26 12:00:00", order_no="o1", transaction="2026112722", yuan="50.05", kind="交易", refund_no=""
):
    cells = [
        transaction, order_no, kind, "预存电费", "2026-11-26 11:59:00", at, "", "", "", "", "*伟",
        yuan, yuan,
        "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00", "0.00", refund_no, "-0.30", "0.00", "",
    ]  # fmt: skip
    return ",".join(f"{cell}\t" for cell in cells)


def alipay_text(*rows, account="20881011064993640156", counts=None):
    back = sum(",退款\t" in row for row in rows)
    paid, given = (len(rows) - back, back) if counts is None else counts
    lines = [
        "#支付宝业务明细查询", f"#账号：[{account}]",
        "#起始日期：[2026年11月26日 00:00:00]   终止日期：[2026年11月27日 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------", ALIPAY_HEAD,
        *rows, "#-----------------------------------------业务明细列表结束------------------------------------",
        f"#交易合计：{paid}笔，商家实收共50.05元，商家优惠共0.00元",
        f"#退款合计：{given}笔，商家实收退款共0.00元，商家优惠退款共0.00元",
        "#导出时间：[2026年11月27日 09:30:00]",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n").encode("gb18030")


def alipay_file(*rows, **more):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("2088101106499364_20261126_业务明细(汇总).csv", "汇总".encode("gb18030"))
        archive.writestr("2088101106499364_20261126_业务明细.csv", alipay_text(*rows, **more))
    return packed.getvalue()
