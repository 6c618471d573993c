"""wrk, the closed-loop generator: the scripts it runs, and what it reports."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import LOAD_CORE, NotStarted, find_program

CONNECTIONS = 64
_MARK = "bench-report "

# the report of wrk is for people; this line is exact
_DONE = """
function done(summary, latency, requests)
  io.write(string.format('bench-report {"requests":%d,"microseconds":%d,"status":%d,"socket":%d,' ..
    '"p50":%.1f,"p99":%.1f}\\n', summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of wrk found. ``p50`` and ``p99`` are milliseconds, closed loop."""

    requests: int
    seconds: float
    bad_status: int
    socket_errors: int
    p50: float
    p99: float

    @property
    def errors(self) -> str:
        """Say what went wrong, or nothing."""
        if self.bad_status:
            return f"{self.bad_status} of {self.requests} answers were no success"
        return f"{self.socket_errors} connections failed" if self.socket_errors else ""


def parse(output: str) -> Report:
    """Return the report in wrk's output.

    Raises:
        ValueError: there is none.
    """
    for line in output.splitlines():
        if line.startswith(_MARK):
            found = json.loads(line.removeprefix(_MARK))
            return Report(
                requests=found["requests"],
                seconds=found["microseconds"] / 1e6,
                bad_status=found["status"],
                socket_errors=found["socket"],
                p50=found["p50"] / 1e3,
                p99=found["p99"] / 1e3,
            )
    raise ValueError(f"wrk made no report: {output[-300:]}")


def quote(text: str) -> str:
    """Return a Lua string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'


def head(path: str, headers: Mapping[str, str]) -> str:
    """Return a GET request without the empty line that ends it."""
    return f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def repeated_script(path: str, headers: Mapping[str, str]) -> str:
    """Return a script that sends one request again and again."""
    request = quote(head(path, headers) + "\r\n")
    return f"local request_bytes = {request}\nfunction request() return request_bytes end\n{_DONE}"


def unique_script(path: str, headers: Mapping[str, str], seed: int) -> str:
    """Return a script whose every request has its own path, X-Request-ID and traceparent."""
    rest = quote(head("", headers).partition("\r\n")[2])
    return f"""local before, rest, number = {quote(f"GET {path}/")}, {rest}, 0
local format = string.format
function request()
  number = number + 1
  return format("%s%08x-%d HTTP/1.1\\r\\n%sX-Request-ID: %08x-0000-4000-8000-%012x\\r\\n" ..
    "traceparent: 00-%08x0000000000000001%08x-%08x%08x-01\\r\\n\\r\\n",
    before, {seed}, number, rest, {seed}, number, {seed}, number, {seed}, number)
end
{_DONE}"""


def tokens_script(path: str, headers: Mapping[str, str], tokens: Path) -> str:
    """Return a script that sends the tokens of a file, one a line, in turn."""
    before = quote(head(path, headers) + "Authorization: Bearer ")
    return f"""local before, after, number = {before}, "\\r\\n\\r\\n", 0
local tokens = {{}}
for line in io.lines({quote(str(tokens))}) do tokens[#tokens + 1] = line end
function request()
  number = number % #tokens + 1
  return before .. tokens[number] .. after
end
{_DONE}"""


def run(
    url: str,
    script: str,
    folder: Path,
    seconds: float,
    *,
    connections: int = CONNECTIONS,
) -> Report:
    """Run wrk on the generator's core with one thread.

    Raises:
        NotStarted: it is absent. ValueError: it made no report.
    """
    program = find_program("wrk")
    if program is None:
        raise NotStarted("wrk is not installed")
    file = folder / "wrk.lua"
    file.write_text(script)
    # wrk takes whole seconds only: a shorter or odd round is ended by the interrupt that it reports at
    whole = f"{max(1, round(seconds + 5))}s"
    command: Sequence[str] = (
        "taskset", "-c", str(LOAD_CORE), program,
        "-t1", f"-c{connections}", f"-d{whole}", "--timeout", "5s", "-s", str(file), url,
    )  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(2)
        output, _ = process.communicate(timeout=15)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return parse(output)
