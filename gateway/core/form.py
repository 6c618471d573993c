"""Form bodies (URL standard section 5, application/x-www-form-urlencoded), read strictly."""

from urllib.parse import parse_qsl

from gateway.core.model import Request

MEDIA_TYPE = b"application/x-www-form-urlencoded"
_MOST_FIELDS = 20


def is_form(request: Request) -> bool:
    """Tell whether the request says, once, that its body is a form."""
    types = [value for name, value in request.headers if name.lower() == b"content-type"]
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
