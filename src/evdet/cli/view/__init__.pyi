from .command import view as view
from .options import ViewOptions as ViewOptions
