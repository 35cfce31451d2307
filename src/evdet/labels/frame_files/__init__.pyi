from .folder import is_frame_folder as is_frame_folder
from .voc import read_voc as read_voc
from .yolo import read_yolo as read_yolo
