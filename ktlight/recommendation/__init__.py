"""Which teacher, and which method: scores before any training, the head probe, and what finished runs say of them."""
