"""TLS towards others, as a client: the store, providers, upstreams."""

import ssl


def client_context(
    ca_file: str | None, certificate: str | None = None, key: str | None = None, *, verify: bool = True
) -> ssl.SSLContext:
    """Return what connections are made with; TLS 1.2 at least.

    Args:
        ca_file: the authorities that are trusted; the system's where there is none.
        certificate: ours, with its chain.
        key: of that, if it is in a file of its own.
        verify: whether the server has to prove who it is.

    Raises:
        OSError: a file cannot be read, or is not what it should be (an SSLError is an OSError).
    """
    context = ssl.create_default_context(cafile=ca_file)
    # what an interpreter holds to be the least is a matter of how it was built
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        # an encrypted key fails: without a password OpenSSL would ask at the terminal
        context.load_cert_chain(certificate, key, password="")
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
