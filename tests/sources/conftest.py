"""The data set folders of folder_maker.py."""

from folder_maker import maker

__all__ = ["maker"]
