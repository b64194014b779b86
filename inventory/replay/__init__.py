"""Real demand played through the product's own admission verbs."""
