"""The people of the two sites."""

from tests.personas import *  # noqa: F403
