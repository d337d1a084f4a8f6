import pytest

from recsys_lab.data.shop.generate import ShopData, generate


@pytest.fixture(scope="session")
def shop() -> ShopData:
    return generate(n_users=800, n_items=400, n_events=40_000, days=180, seed=3)
