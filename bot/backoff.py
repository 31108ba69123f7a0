"""How long to wait before another try: twice as long after each failure in a row, up to a bound. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waits after failures in a row."""

    first_s: float
    max_s: float

    def wait_s(self, failures: int) -> float:
        """Returns the wait after so many failures in a row; 0.0 after none."""
        # More doublings would only make a float overflow.
        return min(self.first_s * 2.0 ** min(failures - 1, 30), self.max_s) if failures else 0.0
