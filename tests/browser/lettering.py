"""Other letters for a page: fonts with extreme metrics, and the reader's own text size.

The fonts are drawn here, box by box, so they are the same on every machine: which fonts a machine
has decides how wide words are and where lines break, and no page may depend on it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

RANGES = ((0x21, 0x7F), (0xA1, 0x250), (0x2000, 0x2070), (0x2190, 0x2200), (0x25A0, 0x2600))


@dataclass(frozen=True)
class Lettering:
    """The metrics of a font in thousandths of its size, and the size of text that is set."""

    advance: int = 0
    ascent: int = 0
    descent: int = 0
    text_size: int = 16

    def put_on(self, page: Any) -> None:
        """Set an open page in it.

        The text size is a setting of the browser. Neither a font made of bytes nor a constructed
        style sheet is bound by the page's own policy.
        """
        sizes = {"standard": self.text_size, "fixed": self.text_size}
        page.context.new_cdp_session(page).send("Page.setFontSizes", {"fontSizes": sizes})
        data = font(self.advance, self.ascent, self.descent) if self.advance else ""
        page.evaluate(INTO_PAGE, data)


LETTERINGS = {
    "small": Lettering(advance=300, ascent=600, descent=120),
    "large": Lettering(advance=800, ascent=1300, descent=500),
    "enlarged": Lettering(text_size=24),
}
"""A font half as wide and half as high as usual ones, one half as large again, larger text."""

INTO_PAGE = """async (data) => {
  document.fonts.clear();
  document.adoptedStyleSheets = [];
  if (data) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    document.fonts.add(await new FontFace("Lettering", bytes.buffer).load());
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(":root { --sans: Lettering !important; --mono: Lettering !important; }");
    document.adoptedStyleSheets = [sheet];
  }
  // Twice: what listens to sizes is told at the end of the first frame.
  for (let i = 0; i < 2; i += 1) await new Promise((done) => requestAnimationFrame(done));
}"""


@cache
def font(advance: int, ascent: int, descent: int) -> str:
    """A TrueType font whose every letter is the same box, in base64."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "box", "space"])
    codes = [code for first, end in RANGES for code in range(first, end)]
    builder.setupCharacterMap(dict.fromkeys(codes, "box") | {0x20: "space", 0xA0: "space"})
    box = drawn(advance)
    builder.setupGlyf({".notdef": box, "box": box, "space": TTGlyphPen(None).glyph()})
    names = (".notdef", "box", "space")
    builder.setupHorizontalMetrics(dict.fromkeys(names, (advance, 40)))
    builder.setupHorizontalHeader(ascent=ascent, descent=-descent)
    builder.setupNameTable({"familyName": "Lettering", "styleName": "Regular"})
    builder.setupOS2(
        sTypoAscender=ascent,
        sTypoDescender=-descent,
        sTypoLineGap=0,
        usWinAscent=ascent,
        usWinDescent=descent,
    )
    builder.setupPost()
    out = BytesIO()
    builder.save(out)
    return base64.b64encode(out.getvalue()).decode()


def drawn(advance: int) -> Any:
    pen = TTGlyphPen(None)
    pen.moveTo((40, 0))
    for corner in ((40, 500), (advance - 40, 500), (advance - 40, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()
