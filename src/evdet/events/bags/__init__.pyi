from .reader import is_bag_folder as is_bag_folder, open_rosbag as open_rosbag
