from .command import EvaluateOptions as EvaluateOptions, evaluate as evaluate
