from serving_min.lately import Lately


def test_the_latest_are_known_to_the_byte_and_by_their_surface() -> None:
    lately = Lately(most=2)
    for body in (b"a", b"b", b"a", b"c"):
        lately.take("home", body)
    assert [lately.has("home", body) for body in (b"a", b"b", b"c", b"a ")] == [True, False, True, False]
    assert not lately.has("cart", b"a")
