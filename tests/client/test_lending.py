"""Connections used by hand: lent, used, released, and what goes wrong with them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError

from httpx_tw.client.outgoing import OutgoingRequest
from httpx_tw.client.pool_facts import DropReason, PoolKey
from httpx_tw.client.timeouts import Timeout
from httpx_tw.client.urls import parse_url
from httpx_tw.errors import (
    ClientClosed,
    ConnectFailed,
    ConnectionLost,
    LocalProtocolError,
    PoolExhaustedForHost,
    PoolTimeout,
)
from tests.client.fakes import OK, URL, ClientTestCase, response

KEY = PoolKey("http", "a.example", 80)


def asking(method: str = "GET") -> OutgoingRequest:
    return OutgoingRequest(
        method, parse_url(URL), [(b"Host", b"a.example")], key=KEY, limit=1000
    )


class LendingTests(ClientTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.lender = self.pool(max_per_host=1)

    def lent(self) -> Any:
        return self.result(self.lender.get_connection(KEY))

    def test_connection_is_its_callers_until_it_is_released(self) -> None:
        connection = self.lent()
        waiting = self.lender.get_connection(KEY)
        for _ in range(2):
            deferred = self.lender.send_on(connection, asking())
            self.peer.answer()
            self.assertEqual(self.result(deferred).body, b"hello")
        self.assertNoResult(waiting)
        self.assertEqual(self.lender.stats().active, 1)
        self.lender.release_connection(connection)
        self.assertIs(self.result(waiting), connection)
        self.lender.release_connection(connection)
        self.assertEqual(self.lender.stats().idle, 1)

    def test_released_connection_serves_clients(self) -> None:
        connection = self.lent()
        self.client = self.made(self.lender)
        deferred = self.get()
        self.lender.release_connection(connection)
        self.peer.answer()
        self.result(deferred)
        self.assertEqual(len(self.dialer.peers), 1)

    def test_idle_connection_is_lent_at_once(self) -> None:
        connection = self.lent()
        self.lender.release_connection(connection)
        self.assertIs(self.lent(), connection)
        self.lender.release_connection(connection)

    def test_releasing_twice_changes_nothing(self) -> None:
        connection = self.lent()
        self.lender.release_connection(connection)
        self.lender.release_connection(connection)
        self.assertEqual(self.lender.stats().idle, 1)

    def test_what_was_released_sends_nothing(self) -> None:
        connection = self.lent()
        self.lender.release_connection(connection)
        with self.assertRaises(LocalProtocolError):
            self.lender.send_on(connection, asking())

    def test_busy_connection_sends_nothing_else(self) -> None:
        connection = self.lent()
        deferred = self.lender.send_on(connection, asking())
        with self.assertRaises(LocalProtocolError):
            self.lender.send_on(connection, asking())
        self.peer.answer()
        self.result(deferred)
        self.lender.release_connection(connection)

    def test_connection_released_while_busy_is_closed(self) -> None:
        connection = self.lent()
        deferred = self.lender.send_on(connection, asking())
        self.lender.release_connection(connection)
        self.error(deferred, ClientClosed)
        self.turn()
        self.assertEqual(self.lender.stats().total, 0)

    def test_connection_that_cannot_be_used_again_is_closed(self) -> None:
        connection = self.lent()
        deferred = self.lender.send_on(connection, asking())
        self.peer.answer(response(200, b"", "Connection: close"))
        self.result(deferred)
        self.turn()
        self.lender.release_connection(connection)
        self.assertEqual(self.lender.stats().dropped, {DropReason.NOT_REUSABLE: 1})

    def test_connection_the_server_closes_meanwhile_is_gone(self) -> None:
        connection = self.lent()
        self.peer.transport.lose()
        with self.assertRaises(LocalProtocolError):
            self.lender.send_on(connection, asking())
        self.lender.release_connection(connection)
        self.assertEqual(self.lender.stats().total, 0)

    def test_failed_exchange_is_told(self) -> None:
        connection = self.lent()
        deferred = self.lender.send_on(connection, asking())
        self.peer.transport.lose()
        self.error(deferred, ConnectionLost)
        self.lender.release_connection(connection)

    def test_response_may_stream(self) -> None:
        connection = self.lent()
        deferred = self.lender.send_on(connection, asking(), stream=True)
        self.peer.answer(OK[:-2])
        body = self.result(deferred).read()
        self.assertNoResult(body)
        self.peer.send(OK[-2:])
        self.assertEqual(self.result(body), b"hello")
        self.lender.release_connection(connection)

    def test_who_may_not_wait_is_refused(self) -> None:
        connection = self.lent()
        self.error(self.lender.get_connection(KEY, wait=False), PoolExhaustedForHost)
        self.lender.release_connection(connection)

    def test_waiting_has_an_end(self) -> None:
        connection = self.lent()
        deferred = self.lender.get_connection(KEY, timeout=Timeout(pool=1))
        self.advance(2)
        self.error(deferred, PoolTimeout)
        cancelled = self.lender.get_connection(KEY)
        cancelled.cancel()
        self.error(cancelled, CancelledError)
        self.lender.release_connection(connection)

    def test_failed_dial_is_told(self) -> None:
        self.dialer.error = ConnectFailed("no")
        self.error(self.lender.get_connection(KEY), ConnectFailed)

    def test_closed_pool_lends_nothing(self) -> None:
        connection = self.lent()
        waiting = self.lender.get_connection(KEY)
        closed = self.lender.close()
        self.error(waiting, ClientClosed)
        self.turn()
        self.result(closed)
        self.lender.release_connection(connection)
        self.error(self.lender.get_connection(KEY), ClientClosed)
