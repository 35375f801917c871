"""What follows from a first response: redirects, retries, challenges, hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred

from httpx_tw.client.digest import DigestAuth
from httpx_tw.client.retries import RetryBudget, RetryPolicy
from httpx_tw.client.timeouts import Timeout
from httpx_tw.errors import (
    ConnectFailed,
    ConnectionLost,
    HandshakeFailed,
    PoolExhausted,
    ReadTimeout,
    RemoteProtocolError,
    TooManyRedirects,
)
from tests.client.fakes import OK, URL, ClientTestCase, response

if TYPE_CHECKING:
    from httpx_tw.client.response import ClientResponse


def to(location: str, status: int = 302) -> bytes:
    return response(status, b"gone", f"Location: {location}")


class RedirectTests(ClientTestCase):
    def test_redirect_is_followed_on_the_same_connection(self) -> None:
        for params in (None, {"a": "b"}):
            deferred = self.get(params=params) if params else self.get()
            self.peer.answer(to("/b"))
            self.assertIn(b"GET /b HTTP/1.1\r\nHost: a.example\r\n", self.peer.answer())
            found = self.result(deferred)
            self.assertEqual(found.status, 200)
            self.assertEqual([r.status for r in found.history], [302])
            self.assertEqual(found.history[0].body, b"gone")
            self.assertEqual(str(found.url), URL + "b")
        self.assertEqual(len(self.dialer.peers), 1)

    def test_request_that_follows_is_like_the_first(self) -> None:
        deferred = self.get(headers={"X-A": "b"})
        first = self.peer.answer(to("/b"))
        second = self.peer.answer()
        self.assertEqual(second, first.replace(b"GET / ", b"GET /b "))
        self.result(deferred)

    def test_another_host_gets_no_credentials(self) -> None:
        self.client.cookies.set("a", "b", domain="a.example")
        deferred = self.get(
            auth=("me", "secret"),
            cookies={"c": "d"},
            headers={"Authorization": "mine", "X-A": "b"},
        )
        self.peer.answer(to("http://b.example/x"))
        sent = self.peer.answer(to(URL))
        self.assertIn(b"GET /x HTTP/1.1\r\nHost: b.example\r\n", sent)
        self.assertIn(b"X-A: b", sent)
        for secret in (b"uthorization", b"ookie", b"secret", b"mine"):
            self.assertNotIn(secret, sent)
        # Nor does the way back bring them back, but for the jar's own cookies.
        sent = self.dialer.peers[0].answer()
        self.assertNotIn(b"uthorization", sent)
        self.assertIn(b"Cookie: a=b\r\n", sent)
        self.result(deferred)

    def test_see_other_drops_the_body(self) -> None:
        deferred = self.client.post(URL, json={"a": "b"})
        self.peer.answer(to("/b", 303))
        sent = self.peer.answer()
        self.assertTrue(sent.startswith(b"GET /b HTTP/1.1\r\n"))
        self.assertNotIn(b"ontent-", sent)
        self.result(deferred)

    def test_temporary_redirect_sends_the_body_again(self) -> None:
        deferred = self.client.post(URL, content=b"abc")
        self.peer.answer(to("/b", 307))
        sent = self.peer.answer()
        self.assertTrue(sent.startswith(b"POST /b HTTP/1.1\r\n"))
        self.assertTrue(sent.endswith(b"\r\n\r\nabc"))
        self.result(deferred)

    def test_body_that_cannot_be_sent_again_ends_the_chain(self) -> None:
        deferred = self.client.post(URL, content=iter([b"abc"]))
        self.peer.answer(to("/b", 307))
        self.assertEqual(self.result(deferred).status, 307)

    def test_loop_is_an_error(self) -> None:
        self.client = self.made(max_redirects=3)
        deferred = self.get()
        for _ in range(4):
            self.peer.answer(to("/"))
        self.error(deferred, TooManyRedirects)

    def test_nonsense_in_location_is_an_error(self) -> None:
        for location in ("file:///etc/passwd", "http://a b/", "http://u:p@a.example/"):
            deferred = self.get()
            self.peer.answer(to(location))
            self.error(deferred, RemoteProtocolError)

    def test_following_can_be_turned_off(self) -> None:
        deferred = self.get(follow_redirects=False)
        self.peer.answer(to("/b"))
        found = self.result(deferred)
        self.assertTrue(found.is_redirect)
        self.assertEqual(found.history, ())

    def test_cookie_of_a_redirect_goes_with_the_next(self) -> None:
        deferred = self.get()
        self.peer.answer(response(302, b"", "Location: /b", "Set-Cookie: a=b"))
        self.assertIn(b"\r\nCookie: a=b\r\n", self.peer.answer())
        self.result(deferred)

    def test_body_of_a_streamed_redirect_is_dropped(self) -> None:
        deferred = self.client.request("GET", URL, stream=True)
        self.peer.take()
        self.peer.send(
            b"HTTP/1.1 302 F\r\nLocation: /b\r\nContent-Length: 999999\r\n\r\n"
        )
        self.turn()
        self.assertTrue(self.dialer.peers[0].is_closed)
        self.peer.answer()
        self.assertEqual(self.result(self.result(deferred).read()), b"hello")

    def test_cancelled_while_following_everything_is_given_back(self) -> None:
        deferred = self.get()
        self.peer.answer(to("/b"))
        self.peer.take()
        deferred.cancel()
        self.error(deferred, CancelledError)
        self.turn()
        self.assertEqual(self.client.pool.stats().total, 0)

    def test_total_timeout_covers_the_chain(self) -> None:
        from httpx_tw.errors import TotalTimeout

        deferred = self.get(timeout=Timeout(total=10))
        for number in range(4):
            self.peer.answer(to(f"/{number}"))
            self.advance(2)
        self.advance(5)
        self.error(deferred, TotalTimeout)


class RetryTests(ClientTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.policy = RetryPolicy(max_retries=2, jitter=0)
        self.client = self.made(retries=self.policy)

    def test_overloaded_server_is_asked_again_later(self) -> None:
        deferred = self.get()
        self.peer.answer(response(503))
        self.advance(0.9, step=0.1)
        self.assertEqual(self.peer.take(), b"")
        self.advance(0.2, step=0.1)
        self.peer.answer(response(503))
        self.advance(2.1, step=0.1)
        self.peer.answer()
        self.assertEqual(self.result(deferred).status, 200)

    def test_last_response_stands(self) -> None:
        deferred = self.get()
        for _ in range(3):
            self.peer.answer(response(503))
            self.advance(3)
        self.assertEqual(self.result(deferred).status, 503)

    def test_server_says_when(self) -> None:
        deferred = self.get()
        self.peer.answer(response(429, b"", "Retry-After: 20"))
        self.advance(19)
        self.assertEqual(self.peer.take(), b"")
        self.advance(2)
        self.peer.answer()
        self.result(deferred)

    def test_dead_server_is_dialled_again(self) -> None:
        self.dialer.error = ConnectFailed("nobody there")
        deferred = self.client.post(URL)  # nothing of it was sent
        self.advance(0.5)
        self.dialer.error = None
        self.advance(1)
        self.peer.answer()
        self.result(deferred)

    def test_lost_connection_is_retried_if_idempotent(self) -> None:
        deferred = self.get()
        self.peer.transport.lose()
        self.advance(1.5)
        self.peer.answer()
        self.result(deferred)
        deferred = self.client.post(URL)
        self.peer.transport.lose()
        self.error(deferred, ConnectionLost)

    def test_some_errors_are_final(self) -> None:
        self.dialer.error = HandshakeFailed("no trust")
        self.error(self.get(), HandshakeFailed)
        self.dialer.error = None
        deferred = self.get(timeout=Timeout(read=1))
        self.advance(3)
        self.error(deferred, ReadTimeout)

    def test_retry_that_would_come_too_late_is_none(self) -> None:
        deferred = self.get(timeout=Timeout(total=10))
        self.peer.answer(response(429, b"", "Retry-After: 20"))
        self.assertEqual(self.result(deferred).status, 429)

    def test_number_alone_will_do(self) -> None:
        deferred = self.get(retries=1)
        self.peer.answer(response(500))
        self.advance(1.5)
        self.peer.answer(response(500))
        self.assertEqual(self.result(deferred).status, 500)

    def test_none_is_tried_behind_none(self) -> None:
        for retries in (0, None):
            deferred = self.get(retries=retries)
            self.peer.answer(response(500))
            self.assertEqual(self.result(deferred).status, 500)

    def test_budget_is_for_all_together(self) -> None:
        budget = RetryBudget(ratio=0.25, reserve=1)
        self.client = self.made(retries=self.policy, retry_budget=budget)
        other = self.made(retries=self.policy, retry_budget=budget)
        deferred = self.get()
        self.peer.answer(response(503))
        self.advance(1.5)
        self.peer.answer(response(503))
        self.assertEqual(self.result(deferred).status, 503)  # it had one
        deferred = other.get(URL)
        self.peer.answer(response(503))
        self.assertEqual(self.result(deferred).status, 503)
        for _ in range(4):
            deferred = self.get()
            self.dialer.peers[0].answer()
            self.result(deferred)
        deferred = other.get(URL)
        self.peer.answer(response(503))
        self.advance(1.5)
        self.peer.answer()
        self.assertEqual(self.result(deferred).status, 200)

    def test_budget_holds_for_dials_that_fail(self) -> None:
        self.client = self.made(
            retries=self.policy, retry_budget=RetryBudget(ratio=0, reserve=1)
        )
        self.dialer.error = ConnectFailed("nobody there")
        deferred = self.get()
        self.advance(1.5)
        self.error(deferred, ConnectFailed)
        self.assertEqual(len(self.dialer.dialed), 2)

    def test_cancelled_while_waiting_for_the_next_try_it_ends(self) -> None:
        deferred = self.get()
        self.peer.answer(response(503))
        deferred.cancel()
        self.error(deferred, CancelledError)
        self.advance(5)
        self.assertEqual(self.peer.take(), b"")

    def test_pool_that_closes_meanwhile_ends_it(self) -> None:
        from httpx_tw.errors import ClientClosed

        deferred = self.get()
        self.peer.answer(response(503))
        closed = self.client.close()
        self.advance(2)
        self.error(deferred, ClientClosed)
        self.result(closed)

    def test_response_of_a_stream_is_dropped_before_the_next_try(self) -> None:
        deferred = self.client.request("GET", URL, stream=True)
        self.peer.answer(response(503, b"busy"))
        self.assertEqual(self.client.pool.stats().idle, 1)
        self.advance(1.5)
        self.peer.answer()
        self.assertEqual(self.result(self.result(deferred).read()), b"hello")


class AuthTests(ClientTestCase):
    CHALLENGE = 'WWW-Authenticate: Digest realm="r", nonce="n{}", qop="auth"'

    def challenge(self, nonce: int = 1, stale: str = "") -> bytes:
        return response(401, b"who?", self.CHALLENGE.format(nonce) + stale)

    def test_pair_is_basic_without_being_asked(self) -> None:
        self.client = self.made(auth=("me", "secret"))
        deferred = self.get()
        self.assertIn(b"Authorization: Basic bWU6c2VjcmV0\r\n", self.peer.answer())
        self.result(deferred)

    def test_none_is_none_though_the_client_has_one(self) -> None:
        self.client = self.made(auth=("me", "secret"))
        deferred = self.get(auth=None)
        self.assertNotIn(b"Authorization", self.peer.answer())
        self.result(deferred)

    def test_challenge_is_answered(self) -> None:
        self.client = self.made(auth=DigestAuth("me", "secret"))
        deferred = self.get()
        self.assertNotIn(b"Authorization", self.peer.answer(self.challenge()))
        self.assertIn(b'Authorization: Digest username="me"', self.peer.answer())
        self.assertEqual(self.result(deferred).status, 200)
        self.assertEqual(len(self.dialer.peers), 1)

    def test_wrong_password_is_not_tried_for_ever(self) -> None:
        deferred = self.get(auth=DigestAuth("me", "secret"))
        for nonce in range(10):
            if not self.peer.take():
                break
            self.peer.send(self.challenge(nonce, ", stale=true"))
        self.assertEqual(self.result(deferred).status, 401)
        self.assertLess(nonce, 6)

    def test_body_that_cannot_be_sent_again_ends_it(self) -> None:
        deferred = self.client.post(
            URL, content=iter([b"a"]), auth=DigestAuth("me", "secret")
        )
        self.peer.answer(self.challenge())
        self.assertEqual(self.result(deferred).status, 401)


class HookTests(ClientTestCase):
    def test_hooks_are_called_at_their_moments(self) -> None:
        told: list[str] = []

        def note(moment: str) -> Any:
            return lambda *facts: told.append(f"{moment} {facts[0]!r}")

        self.client = self.made(
            retries=RetryPolicy(max_retries=1, jitter=0),
            event_hooks={
                moment: [note(moment)]
                for moment in ("request", "response", "redirect", "retry")
            },
        )
        deferred = self.get()
        self.peer.answer(to("/b"))
        self.peer.answer(response(503))
        self.advance(1.5)
        self.peer.answer()
        self.result(deferred)
        request = f"<OutgoingRequest GET {URL}>"
        request_b = f"<OutgoingRequest GET {URL}b>"
        self.assertEqual(
            told,
            [
                f"request {request}",
                f"response <ClientResponse 302 {URL}>",
                f"redirect <ClientResponse 302 {URL}>",
                f"request {request_b}",
                f"response <ClientResponse 503 {URL}b>",
                f"retry {request_b}",
                f"request {request_b}",
                f"response <ClientResponse 200 {URL}b>",
            ],
        )

    def test_what_a_hook_returns_is_awaited(self) -> None:
        held: Deferred[None] = Deferred()
        self.client = self.made(event_hooks={"request": [lambda _: held]})
        deferred = self.get()
        self.assertEqual(self.dialer.peers, [])
        held.callback(None)
        self.peer.answer()
        self.result(deferred)

    def test_hook_that_raises_fails_the_request(self) -> None:
        def refuse(found: ClientResponse) -> None:
            found.raise_for_status()

        from httpx_tw.errors import StatusError

        self.client = self.made(event_hooks={"response": [refuse]})
        deferred = self.get()
        self.peer.answer(response(404))
        self.error(deferred, StatusError)
        deferred = self.get()
        self.peer.answer(OK)
        self.assertEqual(self.result(deferred).status, 200)

    def test_full_pool_is_told_with_hooks_too(self) -> None:
        self.client = self.made(
            self.pool(max_per_host=1), event_hooks={"request": [lambda _: None]}
        )
        first = self.get()
        self.error(self.get(wait=False), PoolExhausted)
        self.peer.answer()
        self.result(first)
