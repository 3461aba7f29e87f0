"""Thin web edge: parse, call one flow or one read, render."""
