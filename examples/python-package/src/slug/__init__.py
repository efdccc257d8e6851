"""Titles, fit for a URL."""

import re
import unicodedata


def slug(title: str) -> str:
    """Lower-case ASCII words with a dash between them: `Crème brûlée!` becomes `creme-brulee`."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))
