from .aedat2 import open_aedat2 as open_aedat2
from .aedat3 import open_aedat3 as open_aedat3
from .reader import open_aedat4 as open_aedat4, open_es as open_es
