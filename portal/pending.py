"""Which rooms are furnished yet (removed as soon as all are)."""

from importlib.util import find_spec


def there(module: str) -> bool:
    """Whether ``module`` exists."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
