"""When to switch a language model from SFT to RL, on which data, and how high it can get."""
