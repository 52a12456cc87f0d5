"""`/mcp`: the collections of a tenant as tools of the Model Context Protocol."""
