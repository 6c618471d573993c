"""URLs as somebody wrote them: what is none is empty."""

from urllib.parse import SplitResult, urlsplit


def split(url: str) -> SplitResult:
    """Return the parts of a URL; all empty where it is none, or its port is none."""
    try:
        parts = urlsplit(url)
        # looked at, since it is read only then
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts
