from hypothesis import settings

# No deadline: the machine may be busy. Derandomised: a run that passed passes again.
settings.register_profile("functional", deadline=None, derandomize=True)
settings.load_profile("functional")
