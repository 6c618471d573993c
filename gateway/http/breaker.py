"""A circuit breaker: a server that keeps failing is left alone, and tried again one request at a time."""


class Breaker:
    """Opens after ``limit`` failures in a row, never where it is 0.

    While it is open, one request may try every ``delay`` seconds (half-open); the first that succeeds closes
    it. A try that nobody ever hears of again therefore blocks nothing: the next follows it.

    Attributes:
        failures: in a row, up to now.
        is_open: whether the server is left alone.
        retry_at: when the next request may try (seconds, the caller's clock).
    """

    __slots__ = ("_delay", "_limit", "failures", "is_open", "retry_at")

    def __init__(self, limit: int, delay: float) -> None:
        self._limit = limit
        self._delay = delay
        self.failures = 0
        self.is_open = False
        self.retry_at = 0.0

    def failed(self, now: float) -> None:
        """Count a failure; the last of a row opens it, and one while it is open keeps it so."""
        self.failures += 1
        if self._limit and self.failures >= self._limit:
            self.is_open = True
            self.retry_at = now + self._delay

    def succeeded(self) -> None:
        """Close it: the row of failures has ended."""
        self.failures = 0
        self.is_open = False

    def is_due(self, now: float) -> bool:
        """Tell whether a request may try a server that is left alone."""
        return self.is_open and now >= self.retry_at

    def hold(self, now: float) -> None:
        """Let nobody else try for a while: one request is on its way."""
        self.retry_at = now + self._delay
