"""DAT files: mapped, searched by time, clock wraps undone; read and written."""
