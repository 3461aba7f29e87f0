"""Revisions in order of their numbers; a revision that was released is never edited."""
