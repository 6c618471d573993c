"""Signed assertions as rules: for which upstream, for how long, and what they tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

from gateway.config.checks.assertions import OWN_CLAIMS, usual_issuer
from gateway.config.settings.root import Settings
from gateway.core.email import is_doubtful
from gateway.core.identity import Identity, find_claim
from gateway.syntax.encoding import Json


@dataclass(frozen=True, slots=True, eq=False)
class Assertion:
    """What one upstream is told of a caller. ``lifetime`` is in seconds."""

    header: bytes
    issuer: str
    audience: str
    lifetime: float
    claims: tuple[str, ...]

    def told_from(self, identity: Identity, now: float) -> int:
        """Return since when the assertion is told that is told at ``now``; both are epoch seconds.

        There is another one after each half of its life: whoever forgets the last one makes the very same
        again, and so does every other worker. Not everybody's changes at the same moment, though.
        """
        period = self.told_for
        whose = f"{identity.issuer}\x00{identity.subject}\x00{self.audience}"
        shift = crc32(whose.encode("utf-8", "surrogatepass")) % period
        return (int(now) - shift) // period * period + shift

    @property
    def told_for(self) -> int:
        """For how many seconds one assertion is told."""
        return int(self.lifetime / 2)

    def claims_of(self, identity: Identity, told_from: int, *, tells_unverified: bool) -> dict[str, Json]:
        """Return what is signed; it holds no longer than the identity does. Times are epoch seconds.

        It is dated back by a tenth of its life, since the upstream's clock may be behind.

        ``idp`` is whose word the subject is: two providers may each have an alice. Issuer and subject were
        verified as such, and no claim stands in their place (R26).
        """
        return {
            "iss": self.issuer,
            "sub": identity.subject,
            "idp": identity.issuer,
            "aud": self.audience,
            "iat": (issued_at := told_from - int(self.lifetime / 10)),
            "exp": int(min(issued_at + self.lifetime, identity.expires_at)),
            **dict(_told(self.claims, identity, tells_unverified=tells_unverified)),
        }


def _told(
    names: tuple[str, ...], identity: Identity, *, tells_unverified: bool
) -> Iterator[tuple[str, Json]]:
    for name in names:
        if name == "scope":
            if identity.scopes:
                yield name, " ".join(sorted(identity.scopes))
            continue
        value = find_claim(identity.claims, name)
        if value is not None and (tells_unverified or not is_doubtful(identity.claims, name)):
            yield name, value


def compile_assertions(settings: Settings) -> dict[str, Assertion]:
    """Compile the assertions by the names of their upstreams."""
    common = settings.assertions
    usual = tuple(
        dict.fromkeys(name for name in settings.identity_headers.values() if name not in OWN_CLAIMS)
    )
    return {
        name: Assertion(
            header=common.header.encode(),
            issuer=common.issuer or usual_issuer(settings) or "",
            audience=each.assertion.audience or name,
            lifetime=each.assertion.lifetime,
            claims=usual if each.assertion.claims is None else each.assertion.claims,
        )
        for name, each in settings.upstreams.items()
        if each.assertion is not None
    }
