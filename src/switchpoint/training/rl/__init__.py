"""RL from one start: objectives, advantages, dynamic sampling, the loop."""
