from .reader import open_aedat4 as open_aedat4, open_es as open_es
