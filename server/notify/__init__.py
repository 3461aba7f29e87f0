"""Senders of notices behind one Protocol; each says whether a receipt can be expected."""
