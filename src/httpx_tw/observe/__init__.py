"""What a server says about itself: numbers and lines."""
