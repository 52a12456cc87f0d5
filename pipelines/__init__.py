"""The core: two flows, the seams they need, and what stands behind the seams."""
