"""The one exception of this layer: a message that a provider sent, or is asked for, does not hold."""

MISCONFIGURED = frozenset(
    (
        "issuer_mismatch",
        "endpoint_insecure",
        "endpoint_invalid",
        "code_flow_unsupported",
        "pkce_unsupported",
        "client_secret_missing",
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
