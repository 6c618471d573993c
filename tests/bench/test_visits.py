"""The visits are what the page of results says of them, the same in every run; the player plays them so."""

import base64
import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.bench import player, visits, website
from tests.bench.floods import flooded
from tests.bench.people import BROWSERS, LANGUAGES, people
from tests.bench.traffic import Traffic
from tests.bench.visitors import PEOPLE
from tests.bench.visits import Ask, Credential, Crowd, Script, bearer

TOKENS = [f"token-{number:03d}" for number in range(PEOPLE)]
SITE = website.site()
CROWD = Crowd(people(PEOPLE), [bearer(token) for token in TOKENS], SITE)
PROXIED = Crowd(people(PEOPLE), [bearer(token) for token in TOKENS], SITE, "https", is_proxied=True)
DIRECT = visits.direct(CROWD, 12_000, 5)
POOLED = visits.pooled(PROXIED, 12_000, 5, connections=16)


def fields(ask: Ask) -> dict[str, str]:
    """Return the header fields of a request by lower-case name; none comes twice."""
    lines = ask.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    pairs = [line.split(": ", 1) for line in lines]
    found = {name.lower(): value for name, value in pairs}
    assert len(found) == len(pairs)
    return found


def person(ask: Ask) -> str:
    return fields(ask)["authorization"].removeprefix("Bearer ")


def target(ask: Ask) -> str:
    return ask.data.split(b" ", 2)[1].decode()


def kind(ask: Ask) -> str:
    """Return what a request is for: document, asset or call."""
    path = target(ask)
    return "document" if path.startswith("/articles/") else "asset" if path.startswith("/assets/") else "call"


def flat(scripts: list[Script]) -> list[Ask]:
    return list(itertools.chain.from_iterable(scripts))


def whole_visits(script: Script) -> Iterator[Script]:
    """Yield the visits of one person's connection, without the last, which may be cut off."""
    starts = [at for at, ask in enumerate(script) if kind(ask) == "document"]
    for first, last in itertools.pairwise(starts):
        yield script[first:last]


def test_the_same_seed_is_the_same_traffic():
    """[10.figures] Every peer meets the same bytes, in every run; another round has others."""
    assert visits.direct(CROWD, 500, 5) == DIRECT[: len(visits.direct(CROWD, 500, 5))]
    assert visits.direct(CROWD, 500, 5) != visits.direct(CROWD, 500, 6)
    assert visits.pooled(PROXIED, 500, 5, connections=4) == visits.pooled(PROXIED, 500, 5, connections=4)


def test_a_connection_is_one_persons():
    """[10.figures] Direct: 40 to 120 requests, all of one person, in one browser, one language."""
    assert all(40 <= len(script) <= 120 for script in DIRECT)
    for script in DIRECT:
        assert len({person(ask) for ask in script}) == 1
        assert len({fields(ask)["user-agent"] for ask in script}) == 1
        assert len({fields(ask)["accept-language"] for ask in script}) == 1
        assert len({fields(ask).get("cookie") for ask in script}) == 1
    assert len({person(script[0]) for script in DIRECT}) > 100
    assert not any("x-forwarded-for" in fields(ask) for ask in flat(DIRECT))


def test_each_request_through_a_proxy_is_another_persons():
    """[10.figures] Pooled: neighbours on a connection differ, and each says whose it is and over what."""
    addresses = {token: each.address for token, each in zip(TOKENS, PROXIED.people, strict=True)}
    assert len(set(addresses.values())) == PEOPLE
    for script in POOLED:
        tokens = [person(ask) for ask in script]
        assert all(one != other for one, other in itertools.pairwise(tokens))
        for ask, token in zip(script, tokens, strict=True):
            assert fields(ask)["x-forwarded-for"] == addresses[token]
            assert fields(ask)["x-forwarded-proto"] == "https"
    assert len({person(ask) for ask in flat(POOLED)}) > 0.95 * PEOPLE


def test_a_visit_is_a_document_its_assets_and_calls():
    """[10.figures] 2 to 6 assets and 2 to 5 calls a visit, in that order, all referring to their page."""
    assets, calls = Counter[int](), Counter[int]()
    for script in DIRECT:
        for visit in whole_visits(script):
            kinds = [kind(ask) for ask in visit]
            assert kinds == sorted(kinds, key=["document", "asset", "call"].index)
            assets[kinds.count("asset")] += 1
            calls[kinds.count("call")] += 1
            page = f"http://{visits.AUTHORITY}{target(visit[0])}"
            assert all(fields(ask)["referer"] == page for ask in visit[1:])
    assert set(assets) == {2, 3, 4, 5, 6}
    assert set(calls) == {2, 3, 4, 5}


def test_half_of_the_assets_are_conditional():
    """[10.figures] With both validators, answered 304 without a body; the others with the whole file."""
    files = {file.path: file for file in SITE.assets}
    assets = [ask for ask in flat(DIRECT) if kind(ask) == "asset"]
    conditional = [ask for ask in assets if "if-none-match" in fields(ask)]
    assert 0.45 < len(conditional) / len(assets) < 0.55
    for ask in assets:
        file, found = files[target(ask)], fields(ask)
        if "if-none-match" in found:
            assert (found["if-none-match"], found["if-modified-since"]) == (file.etag, file.last_modified)
            assert ask[1:] == (304, 0)
        else:
            assert ask[1:] == (200, file.size)
    assert {target(ask) for ask in assets} == set(files)


def test_calls_have_ids_that_come_once():
    """[10.figures] In a field, the path or the query, never twice in all the traffic."""
    ids = [
        each
        for ask in flat(DIRECT) + flat(visits.direct(CROWD, 2000, 6))
        if kind(ask) == "call"
        for each in _ids(ask)
    ]
    assert len(set(ids)) == len(ids)
    assert all(_ids(ask) for ask in flat(DIRECT) if kind(ask) == "call")


def _ids(ask: Ask) -> list[str]:
    found = fields(ask)
    ids = re.findall(r"[0-9a-f]{16}", target(ask))
    return ids + [found[name] for name in ("x-request-id", "traceparent") if name in found]


def test_a_quarter_of_the_calls_are_posts():
    """[10.figures] JSON of 20 to 400 bytes, with its length and its origin; nothing else has a body."""
    calls = [ask for ask in flat(DIRECT) if kind(ask) == "call"]
    posts = [ask for ask in calls if ask.data.startswith(b"POST ")]
    assert 0.22 < len(posts) / len(calls) < 0.28
    for ask in flat(DIRECT):
        body, found = ask.data.partition(b"\r\n\r\n")[2], fields(ask)
        if ask.data.startswith(b"POST "):
            assert 20 <= len(body) <= 400
            assert int(found["content-length"]) == len(body)
            assert found["origin"] == f"http://{visits.AUTHORITY}"
        else:
            assert ask.data.startswith(b"GET ")
            assert not body
            assert "content-length" not in found
    lengths = {len(ask.data.partition(b"\r\n\r\n")[2]) for ask in posts}
    assert min(lengths) < 40
    assert max(lengths) > 380


def test_people_differ():
    """[10.figures] 8 kinds of browsers, 10 languages, 0 to 4 application cookies each."""
    everybody = people(PEOPLE)
    assert len(BROWSERS) == 8
    assert len({tuple(browser.fixed.values()) for browser in BROWSERS}) == 8
    assert Counter(each.browser.name for each in everybody) == dict.fromkeys(
        (browser.name for browser in BROWSERS), PEOPLE // 8
    )
    assert {each.language for each in everybody} == set(LANGUAGES)
    assert len(LANGUAGES) == 10
    assert {len(each.cookies) for each in everybody} == {0, 1, 2, 3, 4}
    # more people are the same people, and others beside them
    assert people(1000)[:PEOPLE] == everybody


def test_browsers_keep_their_orders():
    """Chromium has hints and no priority, Firefox its agent first and priority last, Safari no hints."""
    orders: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for ask in flat(DIRECT):
        found = fields(ask)
        family = (
            "chromium"
            if "sec-ch-ua" in found
            else "firefox"
            if "Firefox" in found["user-agent"]
            else "safari"
        )
        orders[family].add(tuple(found))
        assert found["host"] == visits.AUTHORITY
        assert found["sec-fetch-dest"] in ("document", "style", "script", "image", "font", "empty")
        assert found["sec-fetch-mode"] == {"document": "navigate", "empty": "cors", "font": "cors"}.get(
            found["sec-fetch-dest"], "no-cors"
        )
    assert all(order[:2] == ("host", "connection") for order in orders["chromium"])
    assert all("priority" not in order for order in orders["chromium"])
    assert all(order[1] == "user-agent" and order[-1] == "priority" for order in orders["firefox"])
    assert all("sec-ch-ua" not in order and "priority" in order for order in orders["safari"])


def test_files_are_of_2_to_48_kb():
    """[10.figures] Documents and the 640 assets; the API's answers are the length that is expected."""
    sizes = [file.size for file in (*SITE.documents, *SITE.assets)]
    assert min(sizes) >= 2048
    assert max(sizes) <= 48 * 1024
    assert max(sizes) > 10 * min(sizes)
    assert len({file.path for file in SITE.assets}) == 640
    assert website.site() == SITE
    assert all(len(website.answer(path)) == length for path, length in website.ANSWERS.items())


def test_sessions_stand_before_the_applications_cookies():
    """A person who has a session in cookies sends it with each request, and no token."""
    crowd = Crowd(people(20), [Credential(cookie=f"session={number}") for number in range(20)], SITE)
    for script in visits.direct(crowd, 1000, 1):
        first, *own = fields(script[0])["cookie"].split("; ")
        number = int(first.removeprefix("session="))
        assert tuple(own) == crowd.people[number].cookies
        assert all("authorization" not in fields(ask) for ask in script)


def test_single_requests_are_calls():
    """Connections of one request each."""
    scripts = visits.single(CROWD, 100, 1)
    assert [len(script) for script in scripts] == [1] * 100
    assert {kind(script[0]) for script in scripts} == {"call"}


def test_files_of_traffic_come_back(tmp_path):
    """What was drawn is played, with the proxy's port in the pages."""
    scripts = visits.direct(CROWD, 100, 1)
    assert player.save(tmp_path / "x.bin", scripts) == len(flat(scripts))
    loaded = player.load(tmp_path / "x.bin", 12345)
    assert loaded == [
        [Ask(ask.data.replace(b"#####", b"12345"), ask.status, ask.length) for ask in script]
        for script in scripts
    ]
    assert b"Host: localhost:12345\r\n" in loaded[0][0].data
    with pytest.raises(ValueError, match="5 digits"):
        player.load(tmp_path / "x.bin", 80)


def test_the_traffic_of_a_round_is_made_once(tmp_path):
    """[10.figures] Every peer plays the same file; each round, and each row, has another; old ones go."""
    few = replace(CROWD, people=people(10))
    made: list[Crowd] = []

    def crowd() -> Crowd:
        made.append(few)
        return few

    traffic = Traffic("row", "bearer", crowd)
    roll, warm_up = [file for file, _ in traffic.warm_up(tmp_path)]
    first = traffic.file(tmp_path, 0, 0.01)
    assert not roll.exists()
    assert not warm_up.exists()
    assert first == traffic.file(tmp_path, 0, 0.01)
    assert len(made) == 3
    drawn = first.read_bytes()
    second = traffic.file(tmp_path, 1, 0.01)
    assert not first.exists()
    other = Traffic("other", "bearer", crowd).file(tmp_path, 1, 0.01)
    assert len({drawn, second.read_bytes(), other.read_bytes()}) == 3
    assert traffic.file(tmp_path, 0, 0.01).read_bytes() == drawn
    assert other.exists()


def test_the_warm_up_calls_the_roll(tmp_path):
    """[10.figures] Everybody asks once before anything is measured."""
    few = replace(CROWD, people=people(100))
    (roll, _), _ = Traffic("row", "bearer", lambda: few).warm_up(tmp_path)
    scripts = player.load(roll, 12345)
    assert Counter(person(ask) for ask in flat(scripts)) == dict.fromkeys(TOKENS[:100], 1)


def test_hosts_are_visited_by_the_same_people():
    """[10.figures] With several hosts each person has one, in Host, Referer and Origin alike."""
    hosts = [visits.AUTHORITY, "a.example.com", "b.example.com"]
    crowd = replace(PROXIED, authorities=hosts)
    for ask in flat(visits.pooled(crowd, 500, 1, connections=4)):
        found, host = fields(ask), hosts[int(person(ask).removeprefix("token-")) % 3]
        assert found["host"] == host
        assert found.get("origin", f"https://{host}") == f"https://{host}"
        assert found.get("referer", f"https://{host}/").startswith(f"https://{host}/")


def test_a_flood_is_a_fifth_of_what_comes_once():
    """[10.figures] Forged tokens, unknown cookies and unknown names, a third each, none of it twice."""
    claims = base64.urlsafe_b64encode(json.dumps({"iss": "i", "sub": "s"}).encode()).decode().rstrip("=")
    scripts = flooded(CROWD, f"head.{claims}.signature", ["session", "refresh"], 12_000, 3)
    assert scripts == flooded(CROWD, f"head.{claims}.signature", ["session", "refresh"], 12_000, 3)
    every = flat(scripts)
    tokens, cookies, names = list[str](), list[str](), list[str]()
    for ask in every:
        found = fields(ask)
        if found.get("authorization", "").startswith("Bearer head."):
            assert ask.status == 401
            tokens.append(found["authorization"])
        elif "authorization" not in found:
            assert ask.status == 401
            assert found["cookie"].startswith("session=")
            cookies.append(found["cookie"])
        elif unknown := [name for name in found if re.fullmatch("x-[0-9a-f]{16}", name)]:
            assert ask.status == 200
            assert person(ask) in TOKENS
            names += unknown
    flood = len(tokens) + len(cookies) + len(names) // 8
    assert 0.17 < flood / len(every) < 0.23
    for kind_of_flood in (tokens, cookies, names):
        assert len(set(kind_of_flood)) == len(kind_of_flood)
    assert min(len(tokens), len(cookies), len(names) // 8) > 0.25 * flood
    assert max(len(ask.data) for ask in every) < 20_000
