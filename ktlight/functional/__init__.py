"""Pure functions, tensors in and tensors out: losses, routing rules, target rules, flips, statistics, interpolation.

They are stateless, never synchronise with the device, and know nothing of models, data or training. Import each from
its own module.
"""
