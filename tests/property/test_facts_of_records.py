"""Where the store keeps the sessions: what is remembered of records changes no decision either."""

import random
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.decide import decide
from gateway.core.decision.answers import Forward
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Need, SessionRecord
from gateway.core.memo import Memo
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.runtime import RuntimeConfig, compile_settings
from gateway.core.sessions import renewal
from gateway.core.sessions.model import Grant, Renewed
from gateway.core.sessions.record import RECORD_PURPOSE, Handle, StoredSession, encode_handle
from gateway.http.messages.request_head import read_request_head
from gateway.syntax.encoding import encode_base64url
from tests.support import pure
from tests.support.conversations import ROUTES, session_of
from tests.support.pure import ISSUER, NOW, PREFIX

SETTINGS = pure.settings(
    *(each for each in ROUTES if each.get("providers") is None),
    session={"mode": "redis"},
    allow_insecure_http=True,
)
TARGETS = [b"/x", b"/admin/x", b"/optional/x", b"/old/x", b"/.gateway/userinfo", b"/public/x"]
PEOPLE = ["alice", "bob", "carol", "dave"]


class Store:
    """What the store has, and the cookies that lead there."""

    def __init__(self, runtime: RuntimeConfig) -> None:
        self.records: dict[str, StoredSession] = {}
        self.ids: dict[str, str] = {}
        self.lines = [self._kept(runtime, number, name) for number, name in enumerate(PEOPLE)]

    def _kept(self, runtime: RuntimeConfig, number: int, name: str) -> bytes:
        handle = Handle(encode_base64url(bytes([number]) * 32), encode_base64url(bytes([number + 9]) * 32))
        site = runtime.sites[b"app.example.com"]
        session = replace(session_of(name, 500), session_id=handle.session_id)
        grant = Grant(handle.session_id, 0, "refresh-0", handle=handle.secret) if number % 2 else None
        body = runtime.ring.seal_under(
            handle.secret, RECORD_PURPOSE, renewal.encode_outcome(Renewed(session, grant)), bytes(12)
        )
        self.records[handle.record] = StoredSession(body, session.seen_at)
        self.ids[name] = handle.session_id
        sealed = runtime.ring.seal(site.purpose("handle"), encode_handle(handle), bytes(12))
        return f"Cookie: {PREFIX}session={sealed}".encode()


def told(
    runtime: RuntimeConfig, memory: Memory, store: Store, denylist: Denylist, now: float, head: bytes
) -> Any:
    """Return what is decided of a head, the store having answered."""
    request, _ = read_request_head(head, runtime.rules.request_lines)
    facts: dict[Need, object] = {}
    knowledge = Knowledge(runtime, {}, denylist, memory, lambda _: None, lambda _: False, facts)
    answer = decide(request, knowledge, now, "request-1")
    while isinstance(answer, SessionRecord):
        facts[answer] = store.records.get(answer.record, StoredSession())
        answer = decide(request, knowledge, now, "request-1")
    if not isinstance(answer, Forward):
        # whoever has waited for the store is not cleared at once: the browser may be in by now
        return type(answer), getattr(answer, "reason", answer), getattr(answer, "identity", None)
    live = answer.live
    lived = None if live is None else (live.session, live.cookies, live.background)
    return answer.target, answer.lines, answer.reason, answer.identity, answer.route.name, lived


@pytest.mark.parametrize("seed", range(60))
def test_what_is_remembered_of_records_changes_no_decision(seed: int):
    """R44 [10.hold.1]: handles, revocations, reloads, ends, and a clock that goes back."""
    draw = random.Random(seed)
    warm, cold = compile_settings(SETTINGS), compile_settings(SETTINGS, remembers=False)
    memory, store = Memory(), Store(warm)
    denylist, now = Denylist(), NOW
    denylist.synchronised_at = NOW
    asked = [(draw.choice(TARGETS), draw.choice(store.lines)) for _ in range(3)]
    forwarded = 0
    for _ in range(25):
        for target, line in asked:
            head = b"GET %b HTTP/1.1\r\nHost: app.example.com\r\n%b\r\n\r\n" % (target, line)
            for _ in range(draw.choice([1, 2, 3])):
                expected = told(cold, Memory(Memo(0), Memo(0)), store, denylist, now, head)
                assert told(warm, memory, store, denylist, now, head) == expected
                forwarded += len(expected) > 3
        event = draw.choice(["time", "time", "time", "revoke", "revoke", "reload", "other", "expire"])
        if event == "time":
            now += draw.choice([1, 15, 15, 100, 400, -5, -14, -14])
            denylist.synchronised_at = now
        elif event == "revoke":
            name = draw.choice(PEOPLE)
            kind, issuer, value = draw.choice(
                [("sub", ISSUER, name), ("sid", ISSUER, f"sid-{name}"), ("session", "", store.ids[name])]
            )
            denylist.add(DenyEntry(kind, issuer, value, NOW + 10, now + draw.choice([3, 10, 500])))
        elif event == "reload":
            warm, memory = compile_settings(SETTINGS), Memory()
        elif event == "expire":
            denylist.expire(now)
        else:
            asked[draw.randrange(3)] = (draw.choice(TARGETS), draw.choice(store.lines))
    assert forwarded
