"""CVE-2021-32701, CVE-2026-33496: what was remembered of a token ignored wanted scopes, or its issuer."""

from dataclasses import replace

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Refuse
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import ExchangeToken, Introspect, Keys
from gateway.core.headers.request import Request
from gateway.core.provider import Exchanged
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.tokens.introspection import Introspection
from tests.support.decisions import compiled
from tests.support.jose import access_claims, jwk, key_set, sign
from tests.support.pure import HOST, ISSUER, NOW

OTHER = "https://other.example.com"
PROVIDERS = {
    name: {"issuer": issuer, "client_id": "w", "client_secret": "s", "audiences": [audience]}
    for name, issuer, audience in (("corporate", ISSUER, "a"), ("other", OTHER, "b"))
}
KNOWN = compiled(
    {"path": "/read/", "require": {"scopes": ["read"]}},
    {"path": "/write/", "require": {"scopes": ["write"]}},
    {"path": "/"},
    providers=PROVIDERS,
)


def asker(**keys):
    """Return a function that asks with one memory for all requests."""
    denylist = Denylist()
    denylist.synchronised_at = NOW
    knowledge = Knowledge(KNOWN, keys, denylist, Memory(), lambda _: None, lambda _: False)

    def ask(path: str, token: str):
        field = (b"Authorization", f"Bearer {token}".encode())
        request = Request(b"GET", path.encode(), HOST, (field,), "192.0.2.1")
        answer = decide(request, knowledge, NOW, "id")
        if isinstance(answer, Keys):
            # a signature that fails has the keys asked for anew; here they are as they were
            facts = {answer: keys[answer.provider]}
            answer = decide(request, replace(knowledge, facts=facts), NOW, "id")
        return answer

    return ask


def test_a_remembered_token_has_the_scopes_that_it_has():
    """A token that one route accepted is judged anew by the next one."""
    ask = asker(corporate=key_set())
    token = sign(access_claims(iss=ISSUER, aud="a", scope="read"))
    for _ in range(2):
        assert isinstance(ask("/read/x", token), Forward)
        answer = ask("/write/x", token)
        assert isinstance(answer, Refuse)
        assert answer.reason is Reason.SCOPE_MISSING


def test_the_same_key_at_two_providers_makes_no_token_of_one_the_others():
    """R26: one key id, even one key, at two issuers: issuer and audience still decide."""
    ask = asker(corporate=key_set(), other=key_set())
    assert isinstance(ask("/x", sign(access_claims(iss=ISSUER, aud="a"))), Forward)
    assert isinstance(ask("/x", sign(access_claims(iss=OTHER, aud="b"))), Forward)
    for issuer, audience in ((ISSUER, "b"), (OTHER, "a")):
        answer = ask("/x", sign(access_claims(iss=issuer, aud=audience)))
        assert isinstance(answer, Refuse)
        assert answer.reason is Reason.TOKEN_AUDIENCE


def test_a_provider_cannot_sign_for_another():
    """The key id of one issuer and the name of the other: the signature is judged by the named one's keys."""
    ask = asker(corporate=key_set(jwk(name="main")), other=key_set(jwk(name="second", kid="main")))
    assert isinstance(ask("/x", sign(access_claims(iss=OTHER, aud="b"), name="second", kid="main")), Forward)
    answer = ask("/x", sign(access_claims(iss=ISSUER, aud="a"), name="second", kid="main"))
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.TOKEN_SIGNATURE


def introspected(*said: tuple[str, str, dict]):
    """Return a function that asks with one memory, and the questions; ``said``: provider, token, claims."""
    providers = {name: each | {"introspection": "json"} for name, each in PROVIDERS.items()}
    known = compiled(
        {"path": "/read/", "require": {"scopes": ["read"]}, "provider": "corporate"},
        {"path": "/write/", "require": {"scopes": ["write"]}, "provider": "corporate"},
        {"path": "/other/", "require": {"scopes": ["read"]}, "provider": "other"},
        providers=providers,
    )
    answers = {(provider, token): claims for provider, token, claims in said}
    denylist, asked = Denylist(), []
    denylist.synchronised_at = NOW
    knowledge = Knowledge(known, {}, denylist, Memory(), lambda _: None, lambda _: False)

    def ask(path: str, token: str):
        request = Request(b"GET", path.encode(), HOST, ((b"Authorization", f"Bearer {token}".encode()),), "p")
        answer = decide(request, knowledge, NOW, "id")
        if isinstance(answer, Introspect):
            asked.append(answer.provider)
            found = Introspection(answers.get((answer.provider, answer.token)), NOW, NOW + 60)
            answer = decide(request, replace(knowledge, facts={answer: found}), NOW, "id")
        return answer

    return ask, asked


def test_what_was_said_of_an_opaque_token_is_no_permission():
    """[11.6] A remembered answer has the scopes that it has, whichever route asked first."""
    ask, asked = introspected(("corporate", "t", {"sub": "alice", "aud": "a", "scope": "read"}))
    for _ in range(2):
        assert isinstance(ask("/read/x", "t"), Forward)
        answer = ask("/write/x", "t")
        assert isinstance(answer, Refuse)
        assert answer.reason is Reason.SCOPE_MISSING
    assert asked == ["corporate"]


def test_what_one_provider_said_of_an_opaque_token_is_not_the_others_word():
    """R26, R70 [11.6]: remembered for the provider that said it; the other is asked, and may say no."""
    ask, asked = introspected(
        ("corporate", "t", {"sub": "alice", "aud": "a", "scope": "read"}),
        ("corporate", "u", {"sub": "alice", "aud": "a", "scope": "read"}),
        ("other", "u", {"sub": "mallory", "aud": "b", "scope": "read"}),
    )
    for _ in range(2):
        assert ask("/read/x", "t").identity.subject == "alice"
        assert ask("/other/x", "t").reason is Reason.TOKEN_INACTIVE
        assert ask("/read/x", "u").identity.subject == "alice"
        assert ask("/other/x", "u").identity.subject == "mallory"
    assert asked == ["corporate", "other", "corporate", "other", "other"]


def test_an_exchanged_token_is_for_its_provider_target_and_scopes_alone():
    """[11.9]: what was exchanged for one of them is no answer for another."""
    known = compiled(
        {"path": "/a/", "authorization": {"exchange": {"audience": "a"}}},
        {"path": "/b/", "authorization": {"exchange": {"audience": "b"}}},
        {"path": "/resource/", "authorization": {"exchange": {"resource": "urn:a"}}},
        {"path": "/scoped/", "authorization": {"exchange": {"audience": "a", "scopes": ["x", "y"]}}},
        {"path": "/other/", "authorization": {"exchange": {"audience": "a", "scopes": ["x"]}}},
        providers=PROVIDERS,
    )
    keys = {"corporate": key_set(), "other": key_set()}
    denylist = Denylist()
    denylist.synchronised_at = NOW
    kept: dict[ExchangeToken, Exchanged] = {}
    knowledge = Knowledge(
        known, keys, denylist, Memory(), lambda _: None, lambda _: False, exchanged=kept.get
    )
    tokens = [
        sign(access_claims(iss=issuer, aud=audience, jti=jti))
        for issuer, audience in ((ISSUER, "a"), (OTHER, "b"))
        for jti in ("1", "2")
    ]
    for path in ("/a/", "/b/", "/resource/", "/scoped/", "/other/"):
        for token in tokens:
            field = (b"Authorization", f"Bearer {token}".encode())
            request = Request(b"GET", path.encode(), HOST, (field,), "192.0.2.1")
            need = decide(request, knowledge, NOW, "id")
            # nothing that was exchanged before is taken for this
            assert isinstance(need, ExchangeToken)
            assert need.access_token == token
            kept[need] = Exchanged(f"for {len(kept)}", NOW + 50, NOW + 60)
            again = decide(request, knowledge, NOW, "id")
            assert isinstance(again, Forward)
            assert f"Bearer for {len(kept) - 1}".encode() in [value for _, value in again.headers]
    assert len(kept) == 20
