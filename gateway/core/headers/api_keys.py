"""Which lines bring an API key, and so go on to nobody."""

from dataclasses import dataclass

from gateway.config.settings.api_keys import ApiKeysSettings
from gateway.core.headers.lines import Line
from gateway.syntax.api_keys import PREFIX
from gateway.syntax.tokens import fold

_START = PREFIX.encode()


@dataclass(frozen=True, slots=True)
class KeyLines:
    """The lines of keys. ``name`` is that of their own field in lower case, ``folded`` as upstreams may."""

    name: bytes
    folded: bytes

    def brings(self, line: Line) -> bool:
        """Tell whether a line among the credentials is the keys' own, whatever it holds."""
        return line.name.lower() == self.name

    def hides(self, line: Line) -> bool:
        """Tell whether no upstream may see a credential: it holds a key, in whatever scheme."""
        return self.brings(line) or _START in line.value

    def text_of(self, line: Line) -> bytes | None:
        """Return what a line presents as a key, perhaps garbage; None where it presents another credential.

        It is a key's own field, or ``Authorization: Bearer`` with what begins as keys do.
        """
        if self.brings(line):
            return line.value
        scheme, _, token = line.value.partition(b" ")
        token = token.strip(b" ")
        return token if scheme.lower() == b"bearer" and token.startswith(_START) else None


def key_lines(settings: ApiKeysSettings | None) -> KeyLines | None:
    """Compile the settings of API keys; None where there are none."""
    if settings is None:
        return None
    name = settings.header.encode()
    return KeyLines(name.lower(), fold(name))
