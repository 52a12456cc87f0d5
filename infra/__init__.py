"""How Twofold is run: images, Docker Compose, Kubernetes, and the same topology without either."""
