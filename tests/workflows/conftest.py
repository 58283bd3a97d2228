from tests.interfaces.conftest import folder, mask, scan  # noqa: F401
