from .for_detector import (
    simulate_recording as simulate_recording,
    simulated_windows as simulated_windows,
)
from .mnist.digits import Digits as Digits, load_digits as load_digits
from .moving_mnist import MovingMNIST as MovingMNIST, make_moving_mnist as make_moving_mnist
from .simulated_folder import (
    SimulationPlan as SimulationPlan,
    check_free as check_free,
    is_simulated as is_simulated,
    share_out as share_out,
    write_simulated_folder as write_simulated_folder,
)
