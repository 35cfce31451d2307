"""Data made on the fly: Moving MNIST, scenes of digits and shapes, N-MNIST scenes, folders."""

from evdet.synthetic.mnist.digits import Digits, load_digits
from evdet.synthetic.moving_mnist import MovingMNIST, make_moving_mnist

__all__ = ["Digits", "MovingMNIST", "load_digits", "make_moving_mnist"]
