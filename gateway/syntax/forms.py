"""Form bodies and queries (URL standard section 5, application/x-www-form-urlencoded)."""

from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl, unquote_to_bytes

MEDIA_TYPE = b"application/x-www-form-urlencoded"
_MOST_FIELDS = 20


def is_form(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request's fields say, once, that its body is a form."""
    types = [value for name, value in headers if name.lower() == b"content-type"]
    return len(types) == 1 and types[0].partition(b";")[0].strip().lower() == MEDIA_TYPE


def read_form(body: bytes) -> dict[str, str] | None:
    """Return the fields of a form; None where one comes twice, or where the body is no form in ASCII.

    What is not ASCII is percent-encoded UTF-8. At most 20 fields; the body's size is the caller's to bound.
    """
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        return None
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def read_parameters(data: bytes, names: Collection[str]) -> dict[str, str] | None:
    """Return what a query or form says under these names; None where one is there twice or is no UTF-8.

    RFC 6749 section 3.1: unknown parameters are ignored, whatever their bytes, and one without a value counts
    as left out. How long they are is bounded by the head, or by the caller's bound on the body.
    """
    known = {name.encode(): name for name in names}
    fields: dict[str, str] = {}
    for piece in data.split(b"&"):
        raw, _, value = piece.partition(b"=")
        name = known.get(unquote_to_bytes(raw.replace(b"+", b" ")))
        if name is None or not value:
            continue
        try:
            text = unquote_to_bytes(value.replace(b"+", b" ")).decode()
        except UnicodeDecodeError:
            return None
        if name in fields:
            return None
        fields[name] = text
    return fields
