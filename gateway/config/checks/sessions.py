"""Checks of sessions."""

from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.root import Settings
from gateway.syntax import urls


def check_networks(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of ``networks``."""
    named: dict[str, str] = {}
    for name, networks in settings.networks.items():
        if not name.isprintable() or name != name.strip():
            yield Problem(("networks", name), "write a name that can be read, without spaces around it")
        if not networks:
            yield Problem(("networks", name), "name at least one network, or leave the name out")
        for index, network in enumerate(networks):
            at: Path = ("networks", name, index)
            if (message := urls.judge_network(network)) is not None:
                is_everybody = not message.startswith("write")
                yield Problem(at, "this network is everybody's" if is_everybody else message)
            elif network in named:
                yield Problem(at, "this network has a name already")
            named[network] = name


def check_session(settings: Settings) -> Iterator[Problem]:
    """Yield where the lifetimes of sessions do not fit one another."""
    session = settings.session
    if session.idle_lifetime > session.absolute_lifetime:
        yield Problem(("session", "idle_lifetime"), "at most absolute_lifetime")
    for setting in ("refresh_before_expiry", "rotation_grace", "login_lifetime"):
        limit = "absolute_lifetime" if setting == "login_lifetime" else "idle_lifetime"
        if getattr(session, setting) >= getattr(session, limit):
            yield Problem(
                ("session", setting), f"it has to be shorter than {limit}, {getattr(session, limit):g} s"
            )
    alone = session.without_refresh
    if alone is not None and alone > session.absolute_lifetime:
        yield Problem(("session", "without_refresh"), "at most absolute_lifetime")
    elif alone is not None and alone > session.most_claims_age:
        yield Problem(
            ("session", "without_refresh"),
            "at most claims_max_age, which is idle_lifetime where it is absent: what is older does not count,"
            " and nothing tells it anew; raise that as well, if groups may be as old",
        )
    window = session.refresh_before_expiry
    if session.rotation_grace < window < session.idle_lifetime:
        # its access token would outlive its place in the rotation: let in by one worker, a thief at the next
        yield Problem(
            ("session", "rotation_grace"),
            f"at least {window:g}s, which is refresh_before_expiry: a session cookie of before is good until"
            " its access token expires, and must not be taken for reuse until then",
        )
