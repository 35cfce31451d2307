from .header import open_table as open_table
from .rows import read_csv as read_csv
