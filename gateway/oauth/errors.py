"""The one exception of this layer: a message that a provider sent, or is asked for, does not hold."""

from gateway.core.provider import ProviderMetadata

MISCONFIGURED = frozenset(
    (
        "issuer_mismatch",
        "endpoint_insecure",
        "endpoint_invalid",
        "code_flow_unsupported",
        "pkce_unsupported",
        "client_secret_missing",
        "pushed_refused",
        "pushed_unsupported",
        "groups_refused",
        "introspection_unauthorized",
    )
)
"""Codes that only the operator can clear; waiting does not help."""


class MessageError(Exception):
    """A provider's message cannot be used.

    Attributes:
        code: a stable word, such as ``issuer_mismatch``.
        detail: for the operator; says what to do and holds no secret.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    @property
    def is_misconfiguration(self) -> bool:
        """Whether only a change of configuration, here or at the provider, helps."""
        return self.code in MISCONFIGURED


def refuse_unusable(metadata: ProviderMetadata, name: str) -> None:
    """Say why an endpoint that is used now was left out of the metadata, if it was there at all.

    Raises:
        MessageError: ``endpoint_invalid`` or ``endpoint_insecure``.
    """
    for each, code, detail in metadata.unusable:
        if each == name:
            raise MessageError(code, detail)
