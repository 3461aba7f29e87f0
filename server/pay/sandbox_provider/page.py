"""The payment page: both languages side by side, phone first, no script, its own small style sheet."""

from html import escape
from urllib.parse import urlsplit

from server.pay.sandbox_provider.orders import Order

STYLE = """\
:root { color-scheme: light dark; --ink: #16202a; --soft: #5b6876; --sheet: #fff; --line: #d5dbe1; --act: #0b6470; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --soft: #9aa7b4; --sheet: #161c22; --line: #36414c; --act: #5cb8c4; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--sheet); color: var(--ink);
  font: 16px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; }
main { max-width: 400px; margin: 0 auto; padding: 32px 16px; }
h1 { font-size: 16px; font-weight: 600; margin: 0 0 4px; }
p { margin: 0 0 8px; color: var(--soft); }
.amount { font-size: 40px; font-weight: 600; color: var(--ink); margin: 16px 0; font-variant-numeric: tabular-nums; }
dl { margin: 16px 0 24px; padding: 12px 0; border: solid var(--line); border-width: 1px 0; }
dl div { display: flex; justify-content: space-between; gap: 16px; }
dt { color: var(--soft); }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
button, .back { display: block; width: 100%; min-height: 48px; margin: 0 0 12px; padding: 10px; border-radius: 6px;
  border: 1px solid var(--act); font: inherit; font-weight: 600; text-align: center; text-decoration: none;
  background: var(--act); color: var(--sheet); cursor: pointer; }
button.quiet { background: transparent; color: var(--act); }
:focus-visible { outline: 2px solid var(--act); outline-offset: 2px; }
"""

_WORDS = {
    "paid": ("已支付", "Paid"),
    "failed": ("支付未成功，未扣款", "Not paid; no money was taken"),
}


def yuan(amount_fen: int) -> str:
    """Fen as yuan with two decimals."""
    return f"¥{amount_fen // 100:,}.{amount_fen % 100:02d}"


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def payment_page(order: Order) -> str:
    """The page of an order: two buttons while it is open, then the outcome and the way back."""
    if order.result == "open":
        act = (
            '<form method="post"><button name="result" value="pay">支付 · Pay</button>'
            '<button class="quiet" name="result" value="fail">支付失败（测试）· Fail (test)</button></form>'
        )
    else:
        zh, en = _WORDS[order.result]
        back = escape(order.terms.return_url, quote=True)
        act = f'<p role="status">{zh} · {en}</p><a class="back" href="{back}">返回 · Back</a>'
    return f"""<!doctype html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>测试钱包 · Test wallet</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>测试钱包 · <span lang="en">Test wallet</span></h1>
<p>仅供演示，不涉及真实资金。</p>
<p lang="en">For demonstration; no real money moves.</p>
<p class="amount">{yuan(order.terms.amount_fen)}</p>
<dl>
<div><dt>商品 · Item</dt><dd>{escape(order.terms.title)}</dd></div>
<div><dt>订单 · Order</dt><dd>{escape(order.terms.order_no)}</dd></div>
</dl>
{act}
</main>
</body>
</html>
"""
