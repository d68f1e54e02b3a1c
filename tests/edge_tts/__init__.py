"""Tests of the service of the role edge_tts, run in its own environment."""
