"""Text settings of checkpoints."""

import pytest

from common.errors import InputError
from common.text.settings import TextConfig


def test_settings_of_a_checkpoint():
    setup = {"symbol_set": "english_expanded", "text_cleaners": ["basic_cleaners"], "p_arpabet": 0.0, "seed": 1}
    config = TextConfig.from_setup(setup)
    assert config == TextConfig("english_expanded", ("basic_cleaners",), 0.0)
    assert TextConfig.from_setup({**setup, "text_cleaners": "basic_cleaners"}) == config
    assert TextConfig.from_setup(setup, p_arpabet=0.5).p_arpabet == 0.5
    processor = config.processor()
    assert (processor.symbol_set, processor.p_arpabet) == ("english_expanded", 0.0)
    assert processor.clean("DR. X") == "dr. x"  # no abbreviations are written out


def test_a_checkpoint_that_says_nothing_is_of_the_published_recipe():
    assert TextConfig.from_setup({}) == TextConfig("english_basic", ("english_cleaners_v2",), 1.0)


def test_an_impossible_probability():
    with pytest.raises(InputError, match=r"p_arpabet: 1\.5 is not a number between 0 and 1"):
        TextConfig(p_arpabet=1.5)


def test_spaces_around_texts_of_other_programs_models():
    """NVIDIA's recipe trains some models with them."""
    plain = TextConfig(p_arpabet=0.0)
    assert "prepend_space_to_text" not in plain.to_dict()
    setup = {"symbol_set": "english_basic", "p_arpabet": 0.0, "prepend_space_to_text": True, "append_space_to_text": 1}
    both = TextConfig.from_setup(setup)
    space = both.symbols().index(" ")
    assert both.processor().encode("Hello.") == [space, *plain.processor().encode("Hello."), space]
    assert TextConfig.from_setup(both.to_dict()) == both
