"""Tasks: each file reads top-down like a recipe and wires the parts in plain Python; `frame.py` runs them."""
