"""Text from elsewhere, made safe to look at."""

from __future__ import annotations


def visible(text: str) -> str:
    """Write characters that hide, reorder or overwrite what is read as escapes; line ends and tabs stay.

    Parameters
    ----------
    text : str
        What somebody else wrote.
    """
    hidden = {c for c in text if not c.isprintable() and c not in "\n\t"}
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in hidden})


def visible_name(name: str) -> str:
    """Do the same to the name of a file, which may hold line ends and tabs as well."""
    return visible(name).replace("\n", "\\n").replace("\t", "\\t")
