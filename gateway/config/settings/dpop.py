"""Settings of proofs of possession of a key (RFC 9449)."""

from typing import Annotated

from pydantic import Field

from gateway.config.settings.base import Duration, Model, as_duration
from gateway.config.settings.providers import SigningAlgorithm


class DpopSettings(Model):
    """Proofs that come with access tokens which are bound to a key."""

    algorithms: tuple[SigningAlgorithm, ...] = Field(
        default=("ES256", "ES384", "EdDSA", "PS256", "RS256"), min_length=1
    )
    """With which algorithms proofs may be signed."""
    max_age: Annotated[float, Field(gt=0, le=600), as_duration] = 60.0
    """How old a proof may be."""
    nonce: bool = False
    """Whether proofs have to hold a nonce of the gateway's, which clients get with the first refusal."""
    nonce_lifetime: Duration = 300.0
    """After how long there is another nonce; the one before counts as well."""
