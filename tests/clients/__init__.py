"""Tests of clients, run in the environment of the engine and in their own."""
