"""Rankings that are kept for a while, so that pages come from one and the same order."""
