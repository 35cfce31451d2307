from .folder import is_bag_folder as is_bag_folder
from .reader import open_rosbag as open_rosbag
