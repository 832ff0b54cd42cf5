"""Take the README's picture out of the website that was built last.

    python scripts/readme_picture.py

The opening page shows test digits as the network has just read them; this copies
that picture to book/_static/readme.svg.
"""

from base64 import b64decode
from pathlib import Path

from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "data:image/svg+xml;base64,"


def hero(page: Path) -> bytes:
    """Return the SVG of the opening page's picture."""
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    image = soup.find("img", src=lambda src: src and src.startswith(PREFIX))
    return b64decode(image["src"].removeprefix(PREFIX))


if __name__ == "__main__":
    target = ROOT / "book" / "_static" / "readme.svg"
    target.write_bytes(hero(ROOT / "_build" / "html" / "index.html"))
    print(f"wrote {target.relative_to(ROOT)}")
