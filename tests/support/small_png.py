"""Pictures of pages as small PNG files: their colours are counted, and a palette of the commonest remains."""

import base64
import struct
import zlib
from typing import Any, Final

from tests.support.browser import Tab

# the commonest of colours that are alike; whatever is none of them becomes the nearest: the rims of letters
_COUNT: Final = """
(async () => {
  const image = new Image();
  image.src = 'data:image/png;base64,%s';
  await image.decode();
  const [width, height] = [image.width, image.height];
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(image, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const counts = new Map();
  for (const each of pixels) counts.set(each, (counts.get(each) || 0) + 1);
  const alike = new Map();
  for (const [each, count] of counts) {
    const found = alike.get(each & 0xf0f0f0) || {total: 0, most: 0};
    found.total += count;
    if (count > found.most) [found.most, found.colour] = [count, each];
    alike.set(each & 0xf0f0f0, found);
  }
  const ranked = [...alike.values()].sort((a, b) => b.total - a.total);
  const palette = ranked.slice(0, %d).map((each) => each.colour);
  const parts = (each) => [each & 255, (each >> 8) & 255, (each >> 16) & 255];
  const known = palette.map(parts);
  const places = new Map(palette.map((each, place) => [each, place]));
  const nearest = (colour) => {
    const [red, green, blue] = parts(colour);
    let [best, least] = [0, Infinity];
    known.forEach(([r, g, b], place) => {
      const far = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2;
      if (far < least) [best, least] = [place, far];
    });
    places.set(colour, best);
    return best;
  };
  const found = new Uint8Array(pixels.length);
  pixels.forEach((each, index) => { const place = places.get(each); found[index] = place ?? nearest(each); });
  let text = '';
  for (let at = 0; at < found.length; at += 32768)
    text += String.fromCharCode(...found.subarray(at, at + 32768));
  return {width, height, palette: known, pixels: btoa(text)};
})()
"""


async def shrink(tab: Tab, picture: bytes, colours: int = 96) -> bytes:
    """Return a PNG with a palette of so many colours, 256 at most. ``tab`` shows a page without a policy."""
    found = await tab.run(_COUNT % (base64.b64encode(picture).decode(), colours))
    return _png(found)


def _png(found: dict[str, Any]) -> bytes:
    width, height, pixels = found["width"], found["height"], base64.b64decode(found["pixels"])
    lines = b"".join(b"\0" + pixels[row * width : (row + 1) * width] for row in range(height))
    palette = bytes(part for colour in found["palette"] for part in colour)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
