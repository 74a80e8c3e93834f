"""How much reading a file may cost, whatever the file claims."""

from genaug.errors import FormatError

MAX_OPERATIONS = 400_000  # each allocates 64 bytes at most, unless it spends more; a snapshot of R3GAN needs 80,000
MAX_BYTES = 48 * 2**20  # of containers and strings; tensors aren't copied
CONTAINER = 300  # an empty dict, set or stand-in and its first items


class Budget:
    """The operations and bytes of memory that are left for one file, including the files embedded in it."""

    def __init__(self) -> None:
        self.operations = MAX_OPERATIONS
        self.bytes = MAX_BYTES

    def spend(self, size: int) -> None:
        """Account for ``size`` bytes, before they are allocated. Raises ``FormatError`` if too few are left."""
        self.bytes -= size
        if self.bytes < 0:
            raise FormatError(f"its objects need more than {MAX_BYTES // 2**20} MiB besides the tensors")

    def spend_operation(self) -> None:
        """Account for one operation. Raises ``FormatError`` if there are too many."""
        self.operations -= 1
        if self.operations < 0:
            raise FormatError(f"it has more than {MAX_OPERATIONS:,} operations")
