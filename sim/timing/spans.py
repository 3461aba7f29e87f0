"""Spans of time under one name each: milliseconds of the world, seconds, minutes of the day.

Civil days of a zone may be longer or shorter; whoever means those asks a calendar. The auditor has its own figures,
because it shares nothing with what it judges.
"""

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S
WEEK_S = 7 * DAY_S
MONTH_S = 30 * DAY_S
YEAR_S_MAX = 366 * DAY_S

DAY_MINUTES = 24 * 60
