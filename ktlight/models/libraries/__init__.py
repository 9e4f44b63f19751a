"""The libraries that models come from, each behind one protocol in a file of its own.

Importing any of these files imports none of the libraries: names are looked at long before a model is made.
"""
