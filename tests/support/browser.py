"""A headless Chromium that sees one file and nothing else: its picture, and what a page says of itself."""

import re
import struct
import subprocess
import zlib
from pathlib import Path

QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--allow-file-access-from-files"),
]
PROBE = """<!DOCTYPE html><iframe id="page" style="border:0;width:{width}px;height:2000px" src="file://{page}"></iframe>
<script>document.getElementById("page").onload = event => {{
  const inside = event.target.contentDocument;
  document.body.append("needs " + inside.documentElement.scrollWidth + " px, title " + inside.title);
}}</script>"""


class Chromium:
    """Called with a profile of its own, so that several may run at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _run(self, *options: str) -> str:
        profile = self._directory / "profile"
        command = ["chromium", *QUIET, f"--user-data-dir={profile}", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def picture(self, page: Path, name: str, width: int, height: int, *, dark: bool = False) -> Path:
        """A PNG of the page as somebody sees it."""
        file = self._directory / f"{name}.png"
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        self._run(*scheme, f"--window-size={width},{height}", f"--screenshot={file}", f"file://{page}")
        return file

    def needs_width(self, page: Path, width: int) -> int:
        """How many pixels wide the page is on a screen of this width: more means that a reader must scroll sideways."""
        probe = self._directory / "probe.html"
        probe.write_text(PROBE.format(width=width, page=page))
        said = self._run("--virtual-time-budget=5000", "--dump-dom", f"file://{probe}")
        return int(re.search(r"needs (\d+) px", said)[1])


def colours(png: Path) -> tuple[tuple[int, ...], int]:
    """The colour in the upper left corner of a picture, and how many different ones it has."""
    data = png.read_bytes()
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    depth = {2: 3, 6: 4}[kind]
    at, packed = 8, b""
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        packed += data[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    raw = zlib.decompress(packed)
    first = tuple(raw[1 : 1 + depth])  # whatever the filter, the first pixel of the first line stands as it is
    rows = {raw[line * (width * depth + 1) :][: width * depth + 1] for line in range(height)}
    return first, len(rows)
