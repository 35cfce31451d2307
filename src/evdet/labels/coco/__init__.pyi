from .ground_truth import read_coco as read_coco
from .records import category_names as category_names, load_json as load_json
from .saving import save_coco as save_coco
