"""Many requests at a time, with a client that does as it is told."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase, TestCase

import httpx_tw
from httpx_tw.client import parallel
from httpx_tw.client.parallel import (
    DEFAULT_MAX_CONCURRENCY,
    BatchBuilder,
    RequestResult,
    RequestSpec,
)
from httpx_tw.errors import ConfigurationError, ConnectFailed, NoRequests


class Response:
    def __init__(self, status: int) -> None:
        self.status = status


class Client:
    """Keeps what is asked of it, until it is told how that ends."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.running: dict[str, Deferred[Any]] = {}
        self.cancelled: list[str] = []
        self.most = 0

    def request(self, method: str, url: str, **options: Any) -> Deferred[Any]:
        self.asked.append((method, url, options))
        deferred: Deferred[Any] = Deferred(lambda _: self.cancel(url))
        self.running[url] = deferred
        self.most = max(self.most, len(self.running))
        return deferred

    def cancel(self, url: str) -> None:
        del self.running[url]
        self.cancelled.append(url)

    def answer(self, url: str, status: int = 200) -> Response:
        response = Response(status)
        self.running.pop(url).callback(response)
        return response

    def refuse(self, url: str) -> ConnectFailed:
        error = ConnectFailed(url)
        self.running.pop(url).errback(error)
        return error


class ParallelTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = Client()

    def running(self) -> str:
        return "".join(self.client.running)

    def failure(self, deferred: Deferred[Any], *errors: type[BaseException]) -> Any:
        return self.failureResultOf(deferred, *errors).value


class AllTests(ParallelTestCase):
    def test_results_are_in_the_order_of_the_specs(self) -> None:
        outcome = parallel.all(self.client, "abc")
        c = self.client.answer("c", 500)
        b = self.client.refuse("b")
        self.assertNoResult(outcome)
        a = self.client.answer("a")
        results = self.successResultOf(outcome)
        self.assertEqual([result.spec.url for result in results], ["a", "b", "c"])
        self.assertEqual([result.response for result in results], [a, None, c])
        self.assertEqual([result.error for result in results], [None, b, None])
        self.assertEqual([result.is_success for result in results], [True, False, True])

    def test_no_more_run_at_a_time_than_allowed(self) -> None:
        outcome = parallel.all(self.client, "abcde", max_concurrency=2)
        self.assertEqual(self.running(), "ab")
        self.client.answer("b")
        self.assertEqual(self.running(), "ac")
        self.client.refuse("a")
        self.client.answer("c")
        self.client.answer("d")
        self.client.answer("e")
        self.assertEqual(len(self.successResultOf(outcome)), 5)
        self.assertEqual(self.client.most, 2)

    def test_by_default_sixteen_do(self) -> None:
        parallel.all(self.client, [str(n) for n in range(100)])
        self.assertEqual(len(self.client.running), DEFAULT_MAX_CONCURRENCY)
        self.assertEqual(DEFAULT_MAX_CONCURRENCY, 16)

    def test_of_nothing_it_is_nothing(self) -> None:
        self.assertEqual(self.successResultOf(parallel.all(self.client, [])), [])
        self.assertEqual(
            self.successResultOf(parallel.all_settled(self.client, [])), []
        )

    def test_all_settled_is_all(self) -> None:
        outcome = parallel.all_settled(self.client, "ab")
        self.client.refuse("a")
        self.client.answer("b")
        results = self.successResultOf(outcome)
        self.assertEqual([result.is_success for result in results], [False, True])

    def test_the_first_error_ends_it_if_so_wanted(self) -> None:
        outcome = parallel.all(self.client, "abcd", max_concurrency=3, fail_fast=True)
        self.client.answer("a", 500)  # a response, if not a nice one
        error = self.client.refuse("b")
        self.assertIs(self.failure(outcome, ConnectFailed), error)
        self.assertEqual(self.client.cancelled, ["c", "d"])
        self.assertEqual(self.client.running, {})

    def test_without_an_error_failing_fast_changes_nothing(self) -> None:
        outcome = parallel.all(self.client, "ab", fail_fast=True)
        self.client.answer("b")
        self.client.answer("a")
        self.assertEqual(len(self.successResultOf(outcome)), 2)


class AnyTests(ParallelTestCase):
    def test_the_first_success_wins_and_the_others_are_cancelled(self) -> None:
        outcome = parallel.any(self.client, "abcde", max_concurrency=4)
        self.client.answer("a", 404)
        self.client.refuse("b")
        self.client.answer("c", 302)
        self.assertNoResult(outcome)
        winner = self.client.answer("e", 204)
        self.assertIs(self.successResultOf(outcome), winner)
        self.assertEqual(self.client.cancelled, ["d"])

    def test_what_was_not_begun_is_not(self) -> None:
        outcome = parallel.any(self.client, "abc", max_concurrency=1)
        self.client.answer("a")
        self.successResultOf(outcome)
        self.assertEqual([url for _, url, _ in self.client.asked], ["a"])

    def test_without_a_success_it_is_none(self) -> None:
        outcome = parallel.any(self.client, "ab")
        self.client.answer("b", 500)
        self.client.refuse("a")
        self.assertIsNone(self.successResultOf(outcome))

    def test_of_nothing_it_is_none(self) -> None:
        self.assertIsNone(self.successResultOf(parallel.any(self.client, [])))


class RaceTests(ParallelTestCase):
    def test_who_ends_first_wins_however_it_ends(self) -> None:
        outcome = parallel.race(self.client, "abc")
        response = self.client.answer("b", 500)
        result = self.successResultOf(outcome)
        self.assertIs(result.unwrap(), response)
        self.assertEqual(self.client.cancelled, ["a", "c"])

    def test_also_with_an_error(self) -> None:
        outcome = parallel.race(self.client, "abc")
        error = self.client.refuse("c")
        result = self.successResultOf(outcome)
        self.assertIs(result.error, error)
        self.assertRaises(ConnectFailed, result.unwrap)
        self.assertEqual(self.client.cancelled, ["a", "b"])

    def test_of_nothing_it_is_an_error(self) -> None:
        self.failure(parallel.race(self.client, []), NoRequests)


class CancelTests(ParallelTestCase):
    def test_who_gives_up_cancels_everything(self) -> None:
        for function in (parallel.all, parallel.any, parallel.race):
            self.client = Client()
            outcome: Deferred[Any] = function(self.client, "abc", max_concurrency=2)
            outcome.cancel()
            self.failure(outcome, CancelledError)
            self.assertEqual(self.client.cancelled, ["a", "b"])
            self.assertEqual(len(self.client.asked), 2)

    def test_a_request_that_somebody_else_cancels_is_an_error(self) -> None:
        outcome = parallel.all(self.client, "ab")
        self.client.running["a"].cancel()
        self.client.answer("b")
        results = self.successResultOf(outcome)
        self.assertIsInstance(results[0].error, CancelledError)

    def test_one_that_cannot_be_cancelled_any_more_does_no_harm(self) -> None:
        class Deaf(Client):
            def cancel(self, url: str) -> None:
                self.answer(url)  # it was too late

        client = Deaf()
        outcome = parallel.any(client, "ab")
        winner = client.answer("a")
        self.assertIs(self.successResultOf(outcome), winner)


class AtOnce:
    """A client whose requests have ended when it returns."""

    def request(self, method: str, url: str, **options: Any) -> Deferred[Any]:
        if url == "bad":
            raise ConfigurationError("before it could be asked")
        if url == "late":
            return fail(ConnectFailed("late"))
        if url == "out":
            return fail(KeyboardInterrupt())
        return succeed(Response(int(url)))


class AtOnceTests(ParallelTestCase):
    def test_thousands_that_end_at_once_do_not_overflow_the_stack(self) -> None:
        outcome = parallel.all(AtOnce(), ["200"] * 5000, max_concurrency=3)
        self.assertEqual(len(self.successResultOf(outcome)), 5000)

    def test_an_error_before_the_request_is_its_result(self) -> None:
        results = self.successResultOf(parallel.all(AtOnce(), ["bad", "late", "200"]))
        self.assertEqual(
            [type(result.error) for result in results],
            [ConfigurationError, ConnectFailed, type(None)],
        )
        outcome = parallel.all(AtOnce(), ["200", "bad"], fail_fast=True)
        self.failure(outcome, ConfigurationError)

    def test_a_winner_at_once_leaves_the_others_unasked(self) -> None:
        outcome = parallel.any(AtOnce(), ["404", "201", "bad"])
        self.assertEqual(self.successResultOf(outcome).status, 201)
        self.assertEqual(
            self.successResultOf(
                parallel.race(AtOnce(), ["404", "201"])
            ).response.status,
            404,
        )

    def test_what_is_no_result_is_passed_on(self) -> None:
        self.failure(parallel.all(AtOnce(), ["200", "out"]), KeyboardInterrupt)

    def test_what_breaks_the_decision_is_passed_on(self) -> None:
        class Odd(Client):
            def request(self, method: str, url: str, **options: Any) -> Deferred[Any]:
                return succeed(object())  # which has no status

        self.failure(parallel.any(Odd(), ["a"]), AttributeError)


class CoroutineTests(TestCase):
    async def test_a_client_may_have_coroutines(self) -> None:
        class Coroutines:
            async def request(self, method: str, url: str, **options: Any) -> Any:
                return Response(200)

        results = await parallel.all(Coroutines(), ["a", "b"])
        self.assertEqual([result.response.status for result in results], [200, 200])


class SpecTests(ParallelTestCase):
    def test_a_url_is_a_get(self) -> None:
        parallel.all(self.client, ["a"])
        self.assertEqual(self.client.asked, [("GET", "a", {})])

    def test_what_is_given_is_passed_on_and_nothing_else(self) -> None:
        spec = RequestSpec(
            "a",
            "POST",
            headers={"X": "y"},
            json={"a": 1},
            timeout=5,
            options={"follow_redirects": False},
        )
        parallel.all(self.client, [spec])
        options = {
            "headers": {"X": "y"},
            "json": {"a": 1},
            "timeout": 5,
            "follow_redirects": False,
        }
        self.assertEqual(self.client.asked, [("POST", "a", options)])

    def test_an_option_outranks_a_field(self) -> None:
        spec = RequestSpec("a", timeout=5, options={"timeout": None})
        self.assertEqual(spec.arguments(), {"timeout": None})

    def test_what_makes_no_sense_is_refused_before_anything_is_sent(self) -> None:
        bad: Any = ["a", 1]
        self.assertRaises(ConfigurationError, parallel.all, self.client, bad)
        for function in (parallel.all, parallel.any, parallel.race):
            self.assertRaises(
                ConfigurationError, function, self.client, "a", max_concurrency=0
            )
        self.assertEqual(self.client.asked, [])


class BuilderTests(ParallelTestCase):
    def test_a_batch_is_built_word_by_word(self) -> None:
        batch = (
            BatchBuilder()
            .get("a", params={"x": 1})
            .post("b", json={})
            .put("c", content=b"x")
            .patch("d")
            .delete("e")
            .add("f")
            .add(RequestSpec("g", "OPTIONS"))
        )
        self.assertEqual((batch.count, len(batch)), (7, 7))
        outcome = parallel.all(self.client, batch)
        self.assertEqual(
            self.client.asked,
            [
                ("GET", "a", {"params": {"x": 1}}),
                ("POST", "b", {"json": {}}),
                ("PUT", "c", {"content": b"x"}),
                ("PATCH", "d", {}),
                ("DELETE", "e", {}),
                ("GET", "f", {}),
                ("OPTIONS", "g", {}),
            ],
        )
        outcome.addErrback(lambda _: None).cancel()

    def test_a_batch_can_be_emptied_and_used_again(self) -> None:
        batch = BatchBuilder().get("a")
        self.assertEqual(batch.clear().count, 0)
        self.assertEqual([spec.url for spec in batch.get("b")], ["b"])
        self.assertRaises(ConfigurationError, batch.add, 1)


class NameTests(SynchronousTestCase):
    def test_it_is_found_where_people_look_for_it(self) -> None:
        self.assertIs(httpx_tw.parallel, parallel)


class PropertyTests(SynchronousTestCase):
    @given(st.integers(0, 9), st.integers(1, 4), st.data())
    def test_every_slot_returns_whatever_happens(
        self, count: int, limit: int, data: st.DataObject
    ) -> None:
        client = Client()
        function = data.draw(
            st.sampled_from([parallel.all, parallel.any, parallel.race])
        )
        urls = [str(n) for n in range(count)]
        outcome: Deferred[Any] = function(client, urls, max_concurrency=limit)
        ended: list[Any] = []
        outcome.addBoth(ended.append)
        while client.running:
            url = data.draw(st.sampled_from(sorted(client.running)))
            match data.draw(st.sampled_from("answer refuse fail give-up".split())):
                case "answer":
                    client.answer(url)
                case "refuse":
                    client.refuse(url)
                case "fail":
                    client.answer(url, 500)
                case _:
                    outcome.cancel()
        self.assertEqual(len(ended), 1)
        self.assertLessEqual(client.most, limit)
        if function is parallel.all and isinstance(ended[0], list):
            found = [result.spec.url for result in ended[0]]
            self.assertEqual(found, urls)
            self.assertTrue(all(isinstance(r, RequestResult) for r in ended[0]))
