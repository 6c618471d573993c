"""English for the page on which people see where they are logged in."""

from typing import Final

SESSIONS: Final[dict[str, dict[str, str | tuple[str, ...]]]] = {
    "session": {
        "device": "{{browser}} on {{system}}",
        "system": "A browser on {{system}}",
        "unknown": "An unknown device",
        "this": "this browser",
        "from": "Logged in from",
        "since": "Since",
        "seen": "Last seen",
        "sites": "Sites",
        "here": "this network",
        "private": "a private network",
        "other": "another network",
        "nowhere": "not known",
        "list": "Your sessions",
        "end": "End this session",
        "end_others": "End all others",
        "only": "You are logged in nowhere else.",
        "ended_one": "One session has ended.",
        "ended_many": "{{count}} sessions have ended.",
        "more": "There are more of them, which were seen before these.",
        "where": "Where you are logged in",
    },
    "ago": {
        "now": "just now",
        "minute": "a minute ago",
        "minutes": "{{count}} minutes ago",
        "hour": "an hour ago",
        "hours": "{{count}} hours ago",
        "day": "a day ago",
        "days": "{{count}} days ago",
    },
}
