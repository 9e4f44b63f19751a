"""Many runs by one command: what they are, which are done, and how they are started; Hydra's launchers run them."""
