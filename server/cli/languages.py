"""What commands say in both languages: the words of `server.languages`, and errors."""

from server.languages import LANGUAGES, Word, chinese, mark, said, told, wrong

__all__ = ["LANGUAGES", "Word", "chinese", "error_in_chinese", "mark", "said", "told", "wrong"]


def error_in_chinese(error: Exception) -> str:
    """The error as far as it is known in Chinese; otherwise as it is."""
    from server.web.i18n import translations
    from server.web.port_words import port_said

    notes = " ".join(getattr(error, "__notes__", ()))
    return notes or port_said(str(error), translations("zh_CN").gettext) or str(error)
