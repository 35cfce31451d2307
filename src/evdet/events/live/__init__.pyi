from .byte_sources import BinaryStream as BinaryStream, FollowedFile as FollowedFile, Pipe as Pipe
from .live_events import LiveEvents as LiveEvents, WaitingBins as WaitingBins
