"""The text front end: cleaning, pronunciations, symbol ids."""

from common.text.processor import TextProcessor

__all__ = ["TextProcessor"]
