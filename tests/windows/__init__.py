"""The tests on Windows under Wine: set up, run, and what is left out."""
