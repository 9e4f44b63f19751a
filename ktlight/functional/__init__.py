"""Pure functions, tensors in and tensors out: losses, routing rules, target rules, flips, statistics, interpolation.

Nothing here keeps a state, waits for the device, or knows of models, data or training. Import them from their modules.
"""
