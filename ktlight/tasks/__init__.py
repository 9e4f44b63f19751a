"""Tasks: each file reads top-down and wires the parts in plain Python; `frame.py` runs them."""
