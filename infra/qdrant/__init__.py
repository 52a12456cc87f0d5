"""A Qdrant server for people without one."""
