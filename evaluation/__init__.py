"""Objective quality of vocoded speech, and a page to listen to it."""
