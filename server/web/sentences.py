"""English sentences known by their form: `%(name)s` stands for what differs, and its name says what it is."""

import re

_KINDS = {"fen": r"-?\d+(?: fen)?", "wh": r"-?\d+(?: Wh)?", "s": r"\d+ s", "key": r"[\w.]+"}


def pattern_of(sentence: str) -> re.Pattern[str]:
    """What finds a sentence: each placeholder as its name says."""
    parts = re.split(r"%\((\w+)\)s", sentence)
    texts = [re.escape(part) for part in parts[::2]]
    places = [f"(?P<{name}>{_KINDS.get(name.rpartition('_')[2], '.+?')})" for name in parts[1::2]]
    return re.compile("".join(a + b for a, b in zip(texts, [*places, ""], strict=True)), re.DOTALL)
