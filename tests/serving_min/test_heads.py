"""What is told from bytes alone must be what a parser would say, or nothing."""

import pytest

from serving_min.heads import head_of

HEAD = b"POST /v1/home HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
WHOLE = HEAD + b"\r\n{}"


@pytest.mark.parametrize(
    "data",
    [
        WHOLE,
        HEAD.lower().replace(b"post", b"POST").replace(b"http", b"HTTP") + b"\r\n{}",
        HEAD.replace(b"Content-", b"CONTENT-") + b"CONNECTION: Keep-Alive\r\n\r\n{}",
        HEAD + b"Connection: keep-alive\r\nAccept: */*\r\n\r\n{}",
        HEAD + b"X-Y:\r\n\r\n\r\n",
        WHOLE[:-1],
        HEAD + b"\r\n",
        WHOLE + WHOLE,
    ],
)
def test_a_plain_head_says_what_is_asked_and_how_much_belongs_to_it(data: bytes) -> None:
    head = head_of(data)
    assert head is not None
    assert head.surface == "home"
    assert data.startswith(head.text)
    assert head.text.endswith(b"\r\n\r\n")
    assert head.end - len(head.text) == 2
    assert head.headers[:2] == [(b"host", b"x"), (b"content-type", b"application/json")]


def test_headers_are_read_as_a_parser_reads_them() -> None:
    data = HEAD + b"Authorization:Bearer  A:b \r\nX-Request-ID:\tmine\r\nEMPTY:\r\nx: \xe9\r\n\r\n{}"
    head = head_of(data)
    assert head is not None
    assert head.headers[2:] == [
        (b"content-length", b"2"),
        (b"authorization", b"Bearer  A:b"),
        (b"x-request-id", b"mine"),
        (b"empty", b""),
        (b"x", b"\xe9"),
    ]
    assert head.request_id == "mine"


def test_a_head_that_comes_again_is_the_same_one_and_another_is_not() -> None:
    first, again, other = (head_of(data) for data in (WHOLE, HEAD + b"\r\n[]", WHOLE.replace(b"home", b"cart")))
    assert first is again
    assert other is not None
    assert other.surface == "cart"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        HEAD,
        HEAD[:-1],
        HEAD + b"\r",
        b"\r\n" + WHOLE,
        WHOLE.replace(b"POST", b"GET"),
        WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        WHOLE.replace(b"POST", b"post"),
        WHOLE.replace(b"/v1/", b"/V1/"),
        WHOLE.replace(b"HTTP/1.1", b"http/1.1"),
        WHOLE.replace(b"/v1/home", b"/v1/home?k=1"),
        WHOLE.replace(b"/v1/home", b"/v1/home/7"),
        WHOLE.replace(b"Content-Length: 2\r\n", b""),
        WHOLE.replace(b"Length: 2", b"Length: +2"),
        WHOLE.replace(b"Length: 2", b"Length: 2, 2"),
        WHOLE.replace(b"\r\n", b"\n"),
        *(
            HEAD + line + b"\r\n\r\n{}"
            for line in (
                b"Content-Length: 2",
                b"content-length : 5",
                b"Connection: close",
                b"CONNECTION: keep-alive, Upgrade",
                b"Proxy-Connection: close",
                b"Transfer-Encoding: chunked",
                b"Expect: 100-continue",
                b"Upgrade: websocket",
                b"Origin: https://elsewhere",
                b"X: \x00",
                b" folded: line",
                b"no colon",
                b"X: 1\nTransfer-Encoding: chunked",
            )
        ),
    ],
)
def test_all_else_is_left_to_the_parser(data: bytes) -> None:
    assert head_of(data) is None


def test_a_long_head_is_left_to_the_parser() -> None:
    assert head_of(HEAD + b"X: " + 3_900 * b"a" + b"\r\n\r\n{}") is not None
    assert head_of(HEAD + b"X: " + 4_096 * b"a" + b"\r\n\r\n{}") is None


def test_an_endless_head_takes_no_endless_time() -> None:
    assert head_of(b"POST /v1/home HTTP/1.1\r\n" + b"a: b\r\n" * 200_000) is None
