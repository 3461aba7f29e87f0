"""Both languages of a command: texts come as English and Chinese, and `--lang` chooses."""

LANGUAGES = ("both", "en", "zh")


def said(en: str, zh: str, lang: str) -> str:
    """Text in the language asked for; both with a stroke between them, once where they are the same."""
    chosen = {"en": (en,), "zh": (zh,)}.get(lang, (en, zh))
    return " / ".join(dict.fromkeys(text for text in chosen if text))
