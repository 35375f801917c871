"""Files as bodies: opened safely, kept for a while, described by their fields."""
