from .fields import (
    LOGGERS as LOGGERS,
    MAX_THREADS as MAX_THREADS,
    TOY_PROBLEM as TOY_PROBLEM,
    ConfigError as ConfigError,
    DetectionConfig as DetectionConfig,
)
from .reading import (
    config_from_params as config_from_params,
    config_to_dict as config_to_dict,
    config_to_yaml as config_to_yaml,
    read_config as read_config,
    write_config as write_config,
)
