from .digits import find_digits as find_digits
from .scenes import draw_nmnist_scene as draw_nmnist_scene, play_nmnist_scene as play_nmnist_scene
