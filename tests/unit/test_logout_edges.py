"""The edges of logout: revoking behind the answer's back, and what the pages say."""

import asyncio

import pytest

from gateway.core.decision.answers import Respond
from gateway.core.decision.needs import RevokeToken
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.edge.providers import token_revocations
from gateway.edge.providers.token_revocations import TokenRevocations
from gateway.edge.rendering.render import render_respond


class Provider:
    """Answers as told, and only when the gate is open."""

    def __init__(self, answer: object = True) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.events: list[tuple[str, dict]] = []
        self.revocations = TokenRevocations(self.revoke, self.tell)

    async def revoke(self, need: RevokeToken) -> bool:
        """Take a call."""
        self.asked.append(need.refresh_token)
        await self.gate.wait()
        if isinstance(self.answer, Fault):
            raise self.answer
        return bool(self.answer)

    def tell(self, event: str, **fields: object) -> None:
        """Take an event."""
        self.events.append((event, fields))


def need(session: str = "session-1") -> RevokeToken:
    return RevokeToken("main", f"refresh of {session}", "https://issuer.example", "alice", session)


@pytest.mark.parametrize(
    ("answer", "events"),
    [
        (True, [("token_revoked", None)]),
        (False, []),
        (
            Fault("issuer", Reason.ISSUER_UNAVAILABLE, "x"),
            [("token_revocation_failed", "issuer_unavailable")],
        ),
    ],
)
async def test_each_outcome_is_told(answer, events):
    """R16: whose token it was, never the token; a provider without the endpoint is no event."""
    provider = Provider(answer)
    provider.gate.set()
    provider.revocations.start(need())
    await provider.revocations.drain()
    assert [(event, fields["reason"]) for event, fields in provider.events] == events
    for _, fields in provider.events:
        assert (fields["subject"], fields["session"]) == ("alice", "session-1")
        assert "refresh of" not in repr(fields)


async def test_once_for_each_session():
    """A logout that is sent again while the first one is under way asks the provider once."""
    provider = Provider()
    for session in ("session-1", "session-1", "session-2"):
        provider.revocations.start(need(session))
    await asyncio.sleep(0)
    assert provider.asked == ["refresh of session-1", "refresh of session-2"]
    provider.gate.set()
    await provider.revocations.drain()


async def test_there_is_a_bound(monkeypatch):
    """R60: a crowd that logs out while the provider hangs does not pile up calls; each loss is told."""
    monkeypatch.setattr(token_revocations, "MOST_RUNNING", 2)
    provider = Provider()
    for index in range(3):
        provider.revocations.start(need(f"session-{index}"))
    assert [(event, fields["reason"]) for event, fields in provider.events] == [
        ("token_revocation_failed", Reason.OVERLOADED)
    ]
    await provider.revocations.close()
    assert provider.events[1:] == []


@pytest.mark.parametrize(
    ("provider_session", "says"), [("ended", "so has the login"), ("open", "may still be open")]
)
def test_the_page_says_what_is_known(provider_session, says):
    """R50: it claims that the login at the provider has ended only where that is proven."""
    values = {"login_url": "https://app.example.com/.gateway/login", "provider_session": provider_session}
    page = render_respond(Respond(Reason.LOGGED_OUT, 200, page="logged_out", values=values), "r")[2]
    text = b" ".join(page.split()).decode()
    assert says in text
    assert ("so has the login" in text) != ("may still be open" in text)


def test_the_form_offers_everywhere():
    """Enter, and browsers without more thought, take the first button: this session alone."""
    answer = Respond(Reason.LOGOUT_CONFIRM, 200, page="logout_confirm", values={"action": "/.gateway/logout"})
    page = render_respond(answer, "r")[2]
    assert b'name="everywhere" value="1"' in page
    assert page.index(b">Log out<") < page.index(b">Log out everywhere<")
