from .recognition import find_tool_reader as find_tool_reader
