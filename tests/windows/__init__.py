"""The tests on Windows' Python, under Wine: what sets it up, runs them, and is left out."""
