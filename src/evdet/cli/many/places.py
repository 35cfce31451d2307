"""The place of a process -> its accelerator, and its share of the threads."""

from evdet.cli.many.working import Place

__all__ = ["device_at", "num_devices_for", "share_of_threads"]

_ANY = ("auto", "cuda")


def num_devices_for(asked: str) -> int:
    """Count the accelerators that several processes can use; 0 where they use the CPU.

    Args:
        asked: of `--device`; a device with a number is one.
    """
    # Here, because it takes longer than commands that need no network.
    import torch

    if asked in _ANY and torch.cuda.is_available():
        return torch.cuda.device_count()
    return 0 if asked in (*_ANY, "cpu") else 1


def device_at(place: Place, asked: str, *, num_devices: int | None = None) -> str:
    """Choose the device of a process: in turn, where the user leaves open which one.

    Args:
        place: of the process.
        asked: of `--device`.
        num_devices: accelerators of the machine; None counts them.
    """
    count = num_devices_for(asked) if num_devices is None else num_devices
    if place.count == 1 or asked not in _ANY or count < 2:
        return asked
    return f"cuda:{place.index % count}"


def share_of_threads(num_threads: int, place: Place) -> int:
    """Divide `--threads` among the processes; 0 chooses automatically.

    Args:
        num_threads: of all together.
        place: of the process.
    """
    return 0 if num_threads == 0 else max(1, num_threads // place.count)
