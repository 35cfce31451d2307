from .sensor import (
    SensorModel as SensorModel,
    simulate_frames as simulate_frames,
    simulate_step as simulate_step,
)
