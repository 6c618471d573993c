"""CVE-2026-40575, CVE-2026-76835: whoever asked said about what, and everybody was a trusted proxy."""

import pytest

from gateway.config.checks.problems import shown_path
from gateway.core.decision.answers import Allow, Respond
from gateway.core.reasons import Reason, status_of
from gateway.core.runtime import problems
from tests.support.asking import KINDS, PROXY, RECORDS, asked, originals
from tests.support.decisions import ask
from tests.support.pure import HOST, settings


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("peer", ["192.0.2.1", "127.0.0.1", "::1", "::ffff:192.0.2.1", "unknown", ""])
def test_originals_are_believed_from_trusted_proxies(kind: bytes, peer: str):
    """[11.10] R64: anybody else who asks is told nothing but 403, of a public path too."""
    for path in ("/public/x", "/x"):
        answer = asked(kind, path, peer=peer, known=RECORDS)
        assert answer.reason is Reason.ASKER_UNTRUSTED
        assert not isinstance(answer, Allow)
        assert (answer.status if isinstance(answer, Respond) else status_of(answer.reason)) == 403
    assert asked(kind, "/public/x", peer=PROXY, known=RECORDS).reason is not Reason.ASKER_UNTRUSTED


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != b"envoy"])
def test_scripts_do_not_ask_through_the_proxy(kind: bytes):
    """[11.10]: they can only do so under the name of their site, and would read cookies in the answer."""
    path, told, _ = originals(kind, b"/public/x")
    for host in (HOST, HOST + b":443"):
        answer = ask(RECORDS, path.decode(), *told, host=host, peer=PROXY)
        assert answer.reason is Reason.ASKER_UNTRUSTED
        assert not isinstance(answer, Allow)


@pytest.mark.parametrize("networks", [[], ["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["::/0"]])
def test_somebody_is_named_and_not_everybody(networks: list[str]):
    """[11.10]: nobody by default, everybody by no way of writing it."""
    found = problems(settings(asked_by=["caddy"], trusted_proxies=networks))
    assert {"asked_by", "trusted_proxies", "trusted_proxies[0]"} & {shown_path(each.path) for each in found}
