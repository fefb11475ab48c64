"""The text front end: cleaning, pronunciations, symbol ids."""

from common.text.processing import TextProcessor

__all__ = ["TextProcessor"]
