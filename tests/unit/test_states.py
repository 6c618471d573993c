"""The states of the data plane's connections and exchanges: what may follow what, and where that is drawn."""

import re

import pytest

from gateway.http.states import MACHINES, Event, IllegalMove
from tests.support.diagrams import PAGE, diagram, drawn, events_of, names_of, said

MOVES = [
    pytest.param(event, state, kind, id=f"{whose}-{event.name}-{name}".replace(" ", "_"))
    for whose, (kind, moves) in MACHINES.items()
    for event in events_of(moves)
    for state, name in names_of(kind).items()
]


@pytest.mark.parametrize(("event", "state", "kind"), MOVES)
def test_a_move_leads_to_a_state_or_raises(event: Event, state: int, kind: type):
    """[10.2]: every legal move, and every illegal one."""
    if state in event:
        assert event[state] in names_of(kind)
    else:
        with pytest.raises(IllegalMove, match=event.name):
            event[state]
        # and to have asked changes nothing
        assert state not in event


@pytest.mark.parametrize("whose", MACHINES)
def test_every_state_is_reached_and_left(whose: str):
    """[10.2]: from the first one, and none but the last is without a way on."""
    kind, moves = MACHINES[whose]
    names, events = names_of(kind), events_of(moves)
    reached, ahead = {0}, [0]
    while ahead:
        state = ahead.pop()
        for event in events:
            if event.get(state, state) not in reached:
                reached.add(event[state])
                ahead.append(event[state])
    assert reached == set(names)
    last = max(names)
    for state in names:
        ways = {event[state] for event in events if state in event}
        assert ways <= {last} if state == last else ways - {state}


@pytest.mark.parametrize("whose", MACHINES)
def test_each_says_what_it_is(whose: str):
    """[10.2]: every state and every event, and an event is called as it stands in the table."""
    for holder in MACHINES[whose]:
        held = {name for name, value in vars(holder).items() if isinstance(value, int | Event)}
        assert set(said(holder)) == held
    for name, event in vars(MACHINES[whose][1]).items():
        if isinstance(event, Event):
            assert event.name == name.lower()


def test_the_page_draws_the_tables():
    """[10.2]: docs/life-of-a-request.md shows each table as it is."""
    page = PAGE.read_text()
    assert drawn(page) == page, "run: .venv/bin/python -m tests.support.diagrams"


def test_a_diagram_shows_every_move():
    """[10.2]: nothing is left out of it."""
    for kind, moves in MACHINES.values():
        names = names_of(kind)
        arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", diagram(kind, moves), re.MULTILINE)
        assert sum(len(on.split(", ")) for _, _, on in arrows) == sum(map(len, events_of(moves)))
        assert {name for arrow in arrows for name in arrow[:2]} == set(names.values())
