"""Tests of the Python SDK, each module against a scripted server in memory."""
