"""What the parts of a report share: tables and figures as HTML, and the page around them."""

import base64
import html
import io
from collections.abc import Iterable

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image


def inline(figure: Figure) -> str:
    """A figure as SVG within HTML; the figure is closed."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    plt.close(figure)
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def enlargeable(pixels: np.ndarray, label: str) -> str:
    """A picture (uint8 RGB [height, width, 3]) that fills the window after a click; `label` is HTML."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<label class=enlargeable><input type=checkbox aria-label="enlarge"><img src="data:image/jpeg;base64,{data}" '
        f'alt="{label}"></label>'
    )


def capital(label: str) -> str:
    """With a capital letter at its beginning, all others as they are."""
    return label[:1].upper() + label[1:]


def table(head: Iterable[str], body: Iterable[Iterable[str]]) -> str:
    """A table, with its head in the first row."""
    cells = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in body)
    return f"<table><tr>{cells}</tr>{lines}</table>"


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
h1, h2 {{ font-weight: 600 }} h2 {{ margin-top: 2.5rem }}
table {{ border-collapse: collapse; font-size: 14px }}
th, td {{ padding: .35rem .8rem; border-bottom: 1px solid #ddd; text-align: right }}
th:first-child, td:first-child {{ text-align: left }}
li.held::marker {{ content: "\\2713  " }} li.not_held::marker {{ content: "\\2717  " }}
li.too_few::marker {{ content: "?  " }}
.copy {{ background: #f4f6f8; padding: .8rem 1rem; border-radius: .3rem }} pre {{ font-size: 12px; overflow: auto }}
.note {{ color: #666; font-size: 13px }}
.pictures {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1rem }}
figure {{ margin: 0 }} img, svg {{ width: 100%; height: auto }} figcaption {{ text-align: center; font-size: 14px }}
.enlargeable input {{ position: absolute; opacity: 0 }} .enlargeable {{ cursor: zoom-in }}
.enlargeable input:focus-visible + img {{ outline: 2px solid #0072b2 }}
.enlargeable input:checked + img {{ position: fixed; inset: 0; width: 100vw; height: 100vh; object-fit: contain;
  background: #fff; z-index: 9; cursor: zoom-out }}
</style>
<h1>{title}</h1>
<p class=note>Simulated with gpusim, a research tool, not a medical device. Lines are medians of the replicates,
bands go from the lowest to the highest. Axes of values within a factor of 2 do not begin at 0.</p>
{body}
</html>
"""
