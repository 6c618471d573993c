"""What a data plane holds of somebody: a walk through everything that its tables reach."""

import gc
from types import FunctionType, MethodType, ModuleType
from typing import Any

from gateway.core.decision.context import Knowledge

_NOT_FACTS = (type, ModuleType, FunctionType, MethodType)


def is_held(knowledge: Knowledge, *texts: str | bytes) -> bool:
    """Tell whether any text is anywhere in what is remembered of lines, paths, ways and sessions."""
    needles = [text.encode() if isinstance(text, str) else text for text in texts]
    runtime = knowledge.runtime
    waiting: list[Any] = [runtime.rules.request_lines, runtime.rules, runtime.places._known, knowledge.memory]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, _NOT_FACTS):
            continue
        seen.add(id(each))
        if isinstance(each, str | bytes):
            data = each.encode("utf-8", "surrogatepass") if isinstance(each, str) else each
            if any(needle in data for needle in needles):
                return True
        # identities refer to the denylist that has cleared them
        waiting.extend(found for found in gc.get_referents(each) if type(found).__name__ != "Denylist")
    return False
