"""Arrays of events: .npy files, and the .bin files of N-MNIST."""
