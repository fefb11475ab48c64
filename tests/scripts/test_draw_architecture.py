"""The drawing of the packages in docs/architecture.md."""

import xml.etree.ElementTree as ET

from scripts.draw_architecture import DRAWING, FLOORS, draw, without_detours


def test_the_committed_drawing_is_up_to_date():
    assert DRAWING.read_text(encoding="utf-8") == draw(), "run: python -m scripts.draw_architecture"


def test_every_room_is_drawn():
    texts = {element.text.rstrip("/") for element in ET.fromstring(draw()).iter("{http://www.w3.org/2000/svg}text")}
    assert {name for floors in FLOORS.values() for floor in floors for name in floor.split()} <= texts


def test_an_edge_that_a_longer_path_replaces_is_dropped():
    assert without_detours({"a": {"b", "c"}, "b": {"c"}, "c": {"d"}}) == [("a", "b"), ("b", "c"), ("c", "d")]
