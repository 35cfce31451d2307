"""The 70,000 MNIST digits inside the package, and their splits."""
