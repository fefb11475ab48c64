"""Voices: a generator and a FastPitch model that belong together, as one folder and as one Python object."""
