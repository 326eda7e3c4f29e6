"""What samples: our own sampler, or vLLM."""
