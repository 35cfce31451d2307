from .html import html_beside as html_beside, html_picture as html_picture, html_table as html_table
from .values import (
    MAX_JSON as MAX_JSON,
    MAX_YAML as MAX_YAML,
    as_declared as as_declared,
    parse_json as parse_json,
    parse_yaml as parse_yaml,
    read_json as read_json,
    read_yaml as read_yaml,
    shorten_value as shorten_value,
)
