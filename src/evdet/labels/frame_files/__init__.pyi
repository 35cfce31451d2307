from .voc import read_voc as read_voc
from .yolo import read_yolo as read_yolo
