from .command import ServeOptions as ServeOptions, serve as serve
