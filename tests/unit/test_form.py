"""Forms and queries, read for the parameters that are known."""

import pytest

from gateway.syntax.forms import read_parameters

NAMES = ("state", "code")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", {}),
        (b"state=a&code=b", {"state": "a", "code": "b"}),
        (b"&&state=a&&", {"state": "a"}),
        (b"state=a&", {"state": "a"}),
        (b"state", {}),
        (b"state=", {}),
        (b"state=&state=a", {"state": "a"}),
        (b"state=a&state=b", None),
        (b"state=a&%73tate=b", None),
        (b"state=a&st%61te=", {"state": "a"}),
        (b"state=%ff", None),
        (b"state=\xc3\xa9", {"state": "é"}),
        (b"x=%ff&\xff=\xff&state=a", {"state": "a"}),
        (b"x=1&x=2&X=3&state=a+b%20c", {"state": "a b c"}),
        (b"State=a", {}),
        (b"state=a=b", {"state": "a=b"}),
        (b"state=a;code=b", {"state": "a;code=b"}),
        (b"state=%", {"state": "%"}),
        (b"x&" * 5000 + b"code=" + b"c" * 20_000, {"code": "c" * 20_000}),
    ],
)
def test_known_parameters_once(data: bytes, found: dict[str, str] | None):
    """[2.35]: unknown and empty ones are left out whatever their bytes; a known one twice is refused."""
    assert read_parameters(data, NAMES) == found
