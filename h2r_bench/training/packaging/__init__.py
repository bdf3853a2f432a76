"""From finished runs to the weights of an agent."""
