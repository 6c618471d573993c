"""The chunked coding: split anywhere it is the same, and what we accept, llhttp accepts."""
# ruff: noqa: D102 - methods whose names are asyncio's and httptools'

import re
from itertools import pairwise

import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.http.messages.chunked import ChunkedReader, LengthReader, encode_chunk
from gateway.http.messages.fields import Malformed

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"

extensions = st.sampled_from(
    [
        *[b""] * 3,
        *(b";a", b";a=b", b';a="b;c"', b';a="\\""', b";a;b=c", b"; a", b";", b" ;a", b";a=", b'"'),
        *(b" ; a", b"\t;a\t=\tb ;c", b';a = " ; = " ;b', b" ", b"; ", b";a ", b"; ;a", b";a b", b" a"),
    ]
)
chunks = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=20),
        extensions,
        st.sampled_from([b"%x", b"%X", b"0%x", b"0" * 40 + b"%x"]),
    ),
    max_size=4,
)
trailers = st.sampled_from(
    [
        b"",
        b"",
        b"X: y\r\n",
        b"X: y\r\nZ: w\r\n",
        b"Host: evil\r\n",
        b"X : y\r\n",
        b" X: y\r\n",
        b"X\r\n",
        b"X: a\nb\r\n",
    ]
)
cuts = st.lists(st.integers(0, 200), max_size=8)
noise = st.sampled_from([b"", b"", b"", b"\r", b"\n", b"\0", b" ", b";", b"0", b"g", b"\xff"])


@st.composite
def bodies(draw) -> bytes:
    """Return a chunked body that is nearly right."""
    data = b"".join(
        form % len(content) + extension + b"\r\n" + content + b"\r\n"
        for content, extension, form in draw(chunks)
    )
    data += (
        draw(st.sampled_from([b"0", b"00", b"0;x", b"0" * 100, b"0 ; x"]))
        + b"\r\n"
        + draw(trailers)
        + b"\r\n"
    )
    at = draw(st.integers(0, len(data)))
    return data[:at] + draw(noise) + data[at:]


def decode(data: bytes, at: list[int], *, is_response: bool = False) -> tuple[bytes, bytes] | None:
    """Return content and rest; None where it is malformed or not complete."""
    reader = ChunkedReader(is_response=is_response)
    content = rest = b""
    edges = [0, *sorted(min(cut, len(data)) for cut in at), len(data)]
    try:
        for start, end in pairwise(edges):
            if reader.done:
                rest += data[start:end]
            else:
                content += reader.feed(data[start:end])
                rest = reader.rest
    except Malformed:
        return None
    return (content, rest) if reader.done else None


@settings(max_examples=400)
@given(bodies(), cuts)
def test_split_anywhere(data: bytes, at: list[int]):
    """The pieces in which a body comes change nothing."""
    assert decode(data + NEXT, at) == decode(data + NEXT, [])


WHITE_SPACE = re.compile(rb'("(?:\\\\.|[^"\\\\])*")|[ \t]*([;=])[ \t]*')


def without_white_space(data: bytes) -> bytes:
    """Return a chunked body without the white space that RFC 9112 section 7.1.1 allows."""
    found = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        found += WHITE_SPACE.sub(lambda match: match[1] or match[2], line) + b"\r\n"
        if not size:
            return found + data
        found, data = found + data[: size + 2], data[size + 2 :]


class Witness:
    """What llhttp saw."""

    def __init__(self) -> None:
        self.body = b""
        self.urls: list[bytes] = []
        self.messages = 0

    def on_url(self, url: bytes) -> None:
        self.urls.append(url)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


@settings(max_examples=600)
@given(bodies())
@example(b'2;a="\\x"\r\nab\r\n0\r\n\r\n')
@example(b"2\r\nab\r\n0\r\nHost: x\r\nX:\r\n\r\n")
@example(b"2;a=b;\r\nab\r\n0\r\n\r\n")
@example(b'2 ; a = " ; = " ;b\r\nab\r\n0\r\n\r\n')
@example(b"2 \r\nab\r\n0\r\n\r\n")
@example(b"2\r\nab\r\n" + b"0" * 400 + b"\r\n\r\n")
def test_r57_what_we_accept_llhttp_accepts(data: bytes):
    """R57 [3.10]: the same content, and the next request begins at the same byte.

    llhttp knows no white space around extensions: what is accepted with it is accepted without.
    """
    found = decode(data, [])
    if found is None or found[1]:
        return
    witness = Witness()
    httptools.HttpRequestParser(witness).feed_data(HEAD + without_white_space(data) + NEXT)
    assert witness.body == found[0]
    assert witness.urls == [b"/", b"/next"]
    assert witness.messages == 2


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), cuts)
def test_what_we_encode_we_decode(pieces: list[bytes], at: list[int]):
    """Encoding and decoding are inverse."""
    data = b"".join(encode_chunk(piece) for piece in pieces) + b"0\r\n\r\n"
    assert decode(data + NEXT, at) == (b"".join(pieces), NEXT)


@given(st.binary(min_size=1, max_size=100), cuts)
def test_a_known_length_split_anywhere(content: bytes, at: list[int]):
    """A body of known length takes its bytes and no other."""
    reader = LengthReader(len(content))
    data = content + NEXT
    edges = [0, *sorted(min(cut, len(data)) for cut in at), len(data)]
    taken = rest = b""
    for start, end in pairwise(edges):
        if reader.done:
            rest += data[start:end]
        else:
            taken += reader.feed(data[start:end])
            rest = reader.rest
    assert (taken, rest) == (content, NEXT)


@given(st.binary(max_size=200), cuts)
def test_any_bytes_end_or_not(data: bytes, at: list[int]):
    """Garbage is malformed or unfinished, however it is cut, and raises nothing else."""
    assert decode(data, at) == decode(data, [])


class Counting(bytes):
    """Bytes that count how many of them are copied out."""

    copied = 0

    def __getitem__(self, key):
        """Copy, and count."""
        found = bytes(self)[key]
        Counting.copied += len(found) if isinstance(found, bytes) else 1
        return found


def test_r60_small_chunks_cost_what_they_weigh():
    """R60: the smallest chunks in one read are each copied once, not again for every chunk before them."""
    data = Counting(b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n" + b"rest")
    Counting.copied = 0
    reader = ChunkedReader()
    assert reader.feed(data) == b"x" * 5000
    assert reader.done
    assert reader.rest == b"rest"
    assert Counting.copied <= len(data)


def without_spaces_after_sizes(data: bytes) -> bytes:
    """Return a chunked body without the white space at the ends of its size lines, its content untouched."""
    made = b""
    while (match := re.match(rb"0*([0-9A-Fa-f]{1,4})((?:[ \t]*;[^\r]*?)?)[ \t]*\r\n", data)) and int(
        match[1], 16
    ):
        end = match.end() + int(match[1], 16)
        made += match[1] + match[2] + b"\r\n" + data[match.end() : end]
        data = data[end:]
        if not data.startswith(b"\r\n"):
            return made + data
        made, data = made + b"\r\n", data[2:]
    return made + re.sub(rb"\A(0+[^\r]*?)[ \t]+\r\n", rb"\1\r\n", data)


@settings(max_examples=300)
@given(bodies(), cuts)
def test_of_an_upstream_no_other_boundaries(data: bytes, at: list[int]):
    """[3.10]: what a client may send an upstream may; beyond that only spaces at the end of a size's line."""
    asked = decode(data, at)
    answered = decode(data, at, is_response=True)
    if asked is not None:
        assert answered == asked
    elif answered is not None:
        assert decode(without_spaces_after_sizes(data), []) == answered
