"""The processes; nobody imports them."""
