"""A gateway that is its own upstream: passes are counted in CDN-Loop (RFC 8586)."""

from typing import Final

NAME: Final = b"CDN-Loop"
PURPOSE: Final = "cdn-loop"
MOST_PASSES: Final = 4
"""So often may a request pass gateways of one key ring; the next time it is refused.

A few are meant: one gateway may be behind another.
"""


def loop_names(pseudonyms: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the names under which gateways of these ``pseudonyms`` count passes, the own first.

    They are those of a key ring, for ``PURPOSE``. Nobody else can guess them, so nobody can make a gateway
    refuse another's requests.
    """
    return tuple(b"gateway-" + each.encode() for each in pseudonyms)


def passes(values: tuple[bytes, ...], names: tuple[bytes, ...]) -> int:
    """Return how often gateways of these names were passed already, as the fields of a request tell.

    Quoted strings are split as well: whatever a client leaves open in front hides no pass.
    """
    return sum(
        member.partition(b";")[0].strip(b" \t").lower() in names
        for value in values
        for member in value.split(b",")
    )


def loop_line(values: tuple[bytes, ...], names: tuple[bytes, ...]) -> bytes:
    """Return the line that goes on: what came, and this pass."""
    return b"%b: %b" % (NAME, b", ".join([*filter(None, values), names[0]])) if names else b""
