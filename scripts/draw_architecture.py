"""Draw the packages as floors of a house, from their imports: `python -m scripts.draw_architecture`.

A room is a sub-package, or a module at the top of a package. It imports only from the floors below it, which
tests/test_architecture.py enforces. The arrows of the drawing are read from the source.
"""

from __future__ import annotations

import ast
import html
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DRAWING = REPOSITORY / "docs" / "architecture.svg"

# The rooms of each package, from the top floor to the ground floor. Within a floor, the order only affects the drawing.
FLOORS: dict[str, list[str]] = {
    "evaluation": [
        "report",
        "spoken",
        "results",
        "work config",
        "clips metrics",
        "statistics systems spectra perception voicing",
        "griffin_lim",
    ],
    "voice": ["training say", "pack choose speech", "consent pack_flags", "folder recordings"],
    "hifigan": [
        "vocode",
        "synthesis",
        "engine export",
        "vocoder_module plan",
        "denoiser training streaming",
        "backend checkpoint losses",
        "generator discriminators",
        "layers",
        "windows config convolutions gpu",
    ],
    "fastpitch": [
        "extract_mels train",
        "training",
        "synthesis",
        "checkpoint losses",
        "model",
        "transformer alignment",
        "layers",
        "pitch_transform config length_regulator speakers gpu",
    ],
    "common": [
        "synthesis training",
        "data pretrained recognition",
        "download mel_contract audio_files text plot_log",
        "audio audio_input files cli distributed",
        "machine audio_config markdown",
        "errors project resources",
    ],
}
# The packages below each package.
BELOW = {
    "common": (),
    "fastpitch": ("common",),
    "hifigan": ("common",),
    "voice": ("hifigan", "fastpitch", "common"),
    "evaluation": ("voice", "hifigan", "fastpitch", "common"),
}


def modules(root: Path = REPOSITORY) -> dict[str, Path]:
    """Return the source file of each module of the packages. A package's name stands for its `__init__.py`."""
    found = {}
    for package in FLOORS:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the modules among `known` that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [name if (name := f"{base}.{alias.name}") in known else base for alias in node.names]
        else:
            continue
        found |= {name for name in names if name in known}
    return found


def room(module: str) -> str:
    """Return the room of a module: `hifigan.engine.cpu` is in `hifigan.engine`."""
    return ".".join(module.split(".")[:2])


def room_imports(root: Path = REPOSITORY) -> dict[str, set[str]]:
    """Return the rooms of the same package that each room imports."""
    known = modules(root)
    found: dict[str, set[str]] = {}
    for module, path in known.items():
        if "." not in module:
            continue  # a package's own __init__ only collects its public names
        targets = found.setdefault(room(module), set())
        for target in imports(path, known):
            if "." in target and target.split(".")[0] == module.split(".")[0] and room(target) != room(module):
                targets.add(room(target))
    return found


def without_detours(edges: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return the edges of an acyclic graph that no longer path replaces (its transitive reduction)."""

    def reachable(start: str) -> set[str]:
        return set().union(*({end} | reachable(end) for end in edges.get(start, ())))

    return sorted(
        (start, end)
        for start, ends in edges.items()
        for end in ends
        if not any(end in reachable(other) for other in ends - {end})
    )


WIDTH, MARGIN, TITLE = 920, 14, 26
BOX, FLOOR = 25, 45  # heights in pixels: of a box, and from one floor to the next
STYLE = """
  svg { --paper: #ffffff; --house: #f6f8fa; --line: #d0d7de; --text: #1f2328; --faint: #59636e; --arrow: #818b98;
        --module: #ffffff; --folder: #ddf4ff; --folder-line: #54aeff; --program: #fff8c5; --program-line: #d4a72c }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --house: #151b23; --line: #3d444d; --text: #f0f6fc; --faint: #9198a1; --arrow: #656c76;
          --module: #212830; --folder: #122d4f; --folder-line: #316dca; --program: #3b2e0a; --program-line: #9e7700 }
  }
  text { font: 12.5px ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: var(--text) }
  .title { font-weight: 600; font-size: 14px } .note { fill: var(--faint) } .centre { text-anchor: middle }
  .paper { fill: var(--paper) } .house { fill: var(--house); stroke: var(--line) }
  .module { fill: var(--module); stroke: var(--line) } .folder { fill: var(--folder); stroke: var(--folder-line) }
  .program { fill: var(--program); stroke: var(--program-line) }
  path { fill: none; stroke: var(--arrow); stroke-width: 1.2 } marker path { fill: var(--arrow); stroke: none }
"""


class Sheet:
    """The parts of the drawing, arrows behind boxes."""

    def __init__(self) -> None:
        self.areas: list[str] = []
        self.arrows: list[str] = []
        self.boxes: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        self.boxes.append(f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{html.escape(text)}</text>')

    def box(self, x: float, y: float, width: float, label: str, kind: str) -> None:
        self.boxes.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{BOX}" rx="5" class="{kind}"/>')
        self.text(x + width / 2, y + 17, label, "centre")

    def area(self, x: float, y: float, width: float, height: float) -> None:
        self.areas.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" class="house"/>')

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        bend = (end[1] - start[1]) / 2
        self.arrows.append(
            f'<path d="M{start[0]:.0f} {start[1]:.0f} C{start[0]:.0f} {start[1] + bend:.0f} '
            f'{end[0]:.0f} {end[1] - bend:.0f} {end[0]:.0f} {end[1]:.0f}" marker-end="url(#head)"/>'
        )


def row(sheet: Sheet, x: float, y: float, width: float, labels: list[tuple[str, str]]) -> list[tuple[float, float]]:
    """Draw a row of boxes, given as (label, kind), spread over `width`. Returns the position and width of each."""
    widths = [7.0 * len(label) + 16 for label, _ in labels]
    gap = (width - sum(widths)) / (len(labels) + 1)
    places = []
    left = x + gap
    for (label, kind), wide in zip(labels, widths, strict=True):
        sheet.box(left, y, wide, label, kind)
        places.append((left, wide))
        left += wide + gap
    return places


def height(package: str) -> int:
    return TITLE + FLOOR * len(FLOORS[package]) - (FLOOR - BOX) + 12


def draw_package(sheet: Sheet, package: str, x: int, y: int, width: int, edges: dict[str, set[str]]) -> None:
    """Draw one package: its floors, its rooms and the imports between them."""
    sheet.area(x, y, width, height(package))
    sheet.text(x + 12, y + 19, f"{package}/", "title")
    places: dict[str, tuple[float, float, float]] = {}  # left, top, width
    for index, floor in enumerate(FLOORS[package]):
        names = floor.split()
        folders = [(REPOSITORY / package / name).is_dir() for name in names]
        labels = [(f"{n}/", "folder") if folder else (n, "module") for n, folder in zip(names, folders, strict=True)]
        top = y + TITLE + FLOOR * index
        for name, (left, wide) in zip(names, row(sheet, x, top, width, labels), strict=True):
            places[f"{package}.{name}"] = (left, top, wide)
    arrows = without_detours({start: ends for start, ends in edges.items() if start in places})
    middle = {name: left + wide / 2 for name, (left, _, wide) in places.items()}
    out = {name: sorted((b for a, b in arrows if a == name), key=middle.__getitem__) for name in places}
    into = {name: sorted((a for a, b in arrows if b == name), key=middle.__getitem__) for name in places}
    for start, end in arrows:
        left, over, wide = places[start]
        x0 = left + wide * (out[start].index(end) + 1) / (len(out[start]) + 1)
        below, under, across = places[end]
        x1 = below + across * (into[end].index(start) + 1) / (len(into[end]) + 1)
        sheet.arrow((x0, over + BOX), (x1, under - 4))


def draw(root: Path = REPOSITORY) -> str:
    """Return the drawing as SVG, with colours for light and for dark pages."""
    edges = room_imports(root)
    sheet = Sheet()
    gap = 14
    left_width, right_width = 540, WIDTH - 2 * MARGIN - gap - 540
    right = MARGIN + left_width + gap
    programs = sorted(path.name for path in root.glob("*.py"))
    sheet.area(MARGIN, MARGIN, WIDTH - 2 * MARGIN, TITLE + BOX + 12)
    sheet.text(MARGIN + 12, MARGIN + 19, "programs", "title")
    row(sheet, MARGIN, MARGIN + TITLE, WIDTH - 2 * MARGIN, [(name, "program") for name in programs])

    top = MARGIN + TITLE + BOX + 12 + gap
    ground = top
    for package in ("evaluation", "voice", "hifigan"):
        draw_package(sheet, package, MARGIN, ground, left_width, edges)
        ground += height(package) + gap
    draw_package(sheet, "fastpitch", right, ground - gap - height("fastpitch"), right_width, edges)
    draw_package(sheet, "common", MARGIN, ground, WIDTH - 2 * MARGIN, edges)

    sheet.box(right + 12, top + 8, 100, "name/", "folder")
    sheet.text(right + 124, top + 25, "sub-package")
    sheet.box(right + 12, top + 43, 100, "name", "module")
    sheet.text(right + 124, top + 60, "module")
    sheet.arrow((right + 62, top + 78), (right + 62, top + 102))
    sheet.text(right + 124, top + 87, "imports (an arrow is omitted")
    sheet.text(right + 124, top + 104, "where others imply it)")
    for index, line in enumerate(
        (
            "A room imports only from the floors below it.",
            "Programs import the packages. evaluation imports",
            "voice, and voice imports hifigan and fastpitch,",
            "which do not import each other. All import common.",
        )
    ):
        sheet.text(right + 12, top + 134 + 18 * index, line, "note")

    total = ground + height("common") + MARGIN
    body = "\n".join(sheet.areas + sheet.arrows + sheet.boxes)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" width="{WIDTH}" height="{total}">
<title>Programs, evaluation, voice, hifigan and fastpitch, common: imports run downward</title>
<style>{STYLE}</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z"/></marker></defs>
<rect width="{WIDTH}" height="{total}" class="paper"/>
{body}
</svg>
"""


if __name__ == "__main__":
    DRAWING.write_text(draw(), encoding="utf-8")
