"""The other side of the sandbox payments: a payment provider as a process of its own.

It shares nothing with the head-end but HTTP and two public keys, and imports nothing of it, so that a mistake in
our signatures cannot hide behind shared code. Orders live in memory. Run it with
`python -P -m server.pay.sandbox_provider --port 0 --private-key FILE --merchant-key FILE --ready FILE`.
"""
