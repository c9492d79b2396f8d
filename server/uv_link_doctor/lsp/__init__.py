"""The edge: all that knows the Language Server Protocol."""
