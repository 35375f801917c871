"""What a pool of sessions keeps, for how long, and for whom."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.logger import LogLevel, capturedLogs

from httpx_tw.errors import ConfigurationError
from httpx_tw.tls.contexts import ClientContexts, TLSPolicy
from httpx_tw.tls.sessions import SessionKey, StoredSession, TlsSessionPool
from tests.tls.handshakes import connect, server_context
from tests.tls.issuing import authority
from tests.tls.test_session_der import session as der_of

if TYPE_CHECKING:
    from pathlib import Path

A = SessionKey("a.test", 443, "settings")
B = SessionKey("b.test", 443, "settings")


class Now:
    """A time of day that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def ticket(created: float = 1000, lifetime: float = 7200) -> StoredSession:
    return StoredSession(b"der", b"cert", created, lifetime, is_single_use=True)


def reusable(created: float = 1000, lifetime: float = 7200) -> StoredSession:
    return StoredSession(b"der", b"cert", created, lifetime, is_single_use=False)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def pool(now: Now) -> TlsSessionPool:
    return TlsSessionPool(seconds=now)


class TestKeeping:
    def test_a_ticket_is_given_out_once_the_newest_first(
        self, pool: TlsSessionPool
    ) -> None:
        first, second = ticket(), ticket()
        pool.save_session(A, first)
        pool.save_session(A, second)
        assert pool.get_session(A) is second
        assert pool.get_session(A) is first
        assert pool.get_session(A) is None

    def test_a_session_of_1_2_is_given_out_again_and_again(
        self, pool: TlsSessionPool
    ) -> None:
        session = reusable()
        pool.save_session(A, session)
        assert pool.get_session(A) is session
        assert pool.get_session(A) is session

    def test_a_new_session_of_1_2_takes_the_place_of_the_old(
        self, pool: TlsSessionPool
    ) -> None:
        pool.save_session(A, reusable())
        newer = reusable()
        pool.save_session(A, newer)
        assert len(pool) == 1
        assert pool.get_session(A) is newer

    def test_what_has_expired_is_not_given_out(
        self, pool: TlsSessionPool, now: Now
    ) -> None:
        pool.save_session(A, reusable(lifetime=100))
        now.seconds += 99
        assert pool.get_session(A) is not None
        now.seconds += 1
        assert pool.get_session(A) is None
        assert pool.stats.expired == 1
        assert pool.stats.size == 0

    def test_an_hour_is_the_most(self, pool: TlsSessionPool, now: Now) -> None:
        pool.save_session(A, reusable(lifetime=7200))
        now.seconds += 3600
        assert pool.get_session(A) is None

    def test_what_is_from_the_future_is_not_given_out(
        self, pool: TlsSessionPool, now: Now
    ) -> None:
        pool.save_session(A, reusable(created=1001))
        assert pool.get_session(A) is not None, "OpenSSL rounds"
        now.seconds -= 100
        assert pool.get_session(A) is None

    def test_what_has_expired_is_not_kept(self, pool: TlsSessionPool) -> None:
        pool.save_session(A, ticket(created=0, lifetime=10))
        assert pool.stats.stores == 0
        assert len(pool) == 0

    def test_one_key_keeps_eight(self, pool: TlsSessionPool) -> None:
        sessions = [ticket() for _ in range(9)]
        for session in sessions:
            pool.save_session(A, session)
        assert [pool.get_session(A) for _ in range(9)] == [*sessions[:0:-1], None]
        assert pool.stats.evictions == 1

    def test_the_least_recently_used_key_gives_way(self, now: Now) -> None:
        pool = TlsSessionPool(max_sessions=3, seconds=now)
        keys = [SessionKey(f"{n}.test", 443, "") for n in range(4)]
        for key in keys[:3]:
            pool.save_session(key, reusable())
        assert pool.get_session(keys[0]) is not None
        pool.save_session(keys[3], reusable())
        assert pool.get_session(keys[1]) is None
        assert all(pool.get_session(keys[n]) for n in (0, 2, 3))
        assert pool.stats.evictions == 1

    def test_a_pool_of_size_0_keeps_nothing(self, now: Now) -> None:
        pool = TlsSessionPool(max_sessions=0, seconds=now)
        pool.save_session(A, ticket())
        assert pool.get_session(A) is None
        assert pool.stats.stores == 0

    @pytest.mark.parametrize(
        "options", [{"max_sessions": -1}, {"max_age": 0.0}, {"max_age": float("nan")}]
    )
    def test_nonsense_is_refused(self, options: dict[str, float]) -> None:
        with pytest.raises(ConfigurationError):
            TlsSessionPool(**options)  # type: ignore[arg-type]  # one of them is an int

    def test_discard_drops_that_one(self, pool: TlsSessionPool) -> None:
        first, second = ticket(), ticket()
        pool.save_session(A, first)
        pool.save_session(A, second)
        pool.discard(A, second)
        pool.discard(A, second)
        pool.discard(B, first)
        assert pool.get_session(A) is first
        pool.save_session(A, first)
        pool.discard(A, first)
        assert len(pool) == 0

    def test_cleanup_drops_what_has_expired(
        self, pool: TlsSessionPool, now: Now
    ) -> None:
        pool.save_session(A, ticket(lifetime=10))
        pool.save_session(A, ticket())
        pool.save_session(B, ticket(lifetime=10))
        now.seconds += 10
        assert pool.cleanup() == 2
        assert pool.cleanup() == 0
        assert pool.stats.size == 1
        assert pool.stats.expired == 2

    def test_clear_drops_everything(self, pool: TlsSessionPool) -> None:
        pool.save_session(A, ticket())
        pool.clear()
        assert pool.stats.size == 0
        assert pool.stats.stores == 1
        assert pool.get_session(A) is None

    def test_the_hit_rate(self, pool: TlsSessionPool) -> None:
        assert pool.stats.hit_rate == 0.0
        pool.get_session(A)
        pool.save_session(A, reusable())
        for _ in range(3):
            pool.get_session(A)
        stats = pool.stats
        assert (stats.hits, stats.misses, stats.hit_rate) == (3, 1, 0.75)

    def test_many_threads_may_use_it(self, now: Now) -> None:
        pool = TlsSessionPool(max_sessions=20, seconds=now)
        keys = [SessionKey(f"{n}.test", 443, "") for n in range(10)]
        seen: list[StoredSession] = []

        def use() -> None:
            for n in range(500):
                key = keys[n % 10]
                pool.save_session(key, ticket())
                found = pool.get_session(key)
                if found is not None:
                    seen.append(found)
                pool.cleanup()

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == len(set(seen)), "a ticket was given out twice"
        assert pool.stats.size == len(pool) <= 20


def test_a_session_that_must_be_discarded_at_once_is_none() -> None:
    assert StoredSession.from_der(der_of(timeout=7200)) is None


class Model(RuleBasedStateMachine):
    """A pool against a list of what was saved, over any history."""

    keys = st.builds(
        SessionKey,
        st.sampled_from(["a", "b"]),
        st.integers(1, 2),
        st.sampled_from("xy"),
    )

    @initialize(size=st.integers(0, 12))
    def begin(self, size: int) -> None:
        self.now = Now()
        self.pool = TlsSessionPool(max_sessions=size, seconds=self.now)
        self.owners: dict[StoredSession, SessionKey] = {}
        self.spent: set[StoredSession] = set()

    @rule(key=keys, lifetime=st.integers(1, 50), once=st.booleans())
    def save(self, key: SessionKey, lifetime: int, *, once: bool) -> None:
        session = StoredSession(b"", b"", self.now(), lifetime, is_single_use=once)
        self.owners[session] = key
        self.pool.save_session(key, session)

    @rule(key=keys)
    def get(self, key: SessionKey) -> None:
        found = self.pool.get_session(key)
        if found is None:
            return
        assert self.owners[found] == key, "offered across keys"
        assert found not in self.spent, "a ticket was given out twice"
        assert self.now() < found.created_at + found.lifetime
        if found.is_single_use:
            self.spent.add(found)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        if self.owners:
            session = data.draw(st.sampled_from(list(self.owners)))
            self.pool.discard(self.owners[session], session)
            self.spent.add(session)

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds: int) -> None:
        self.now.seconds += seconds

    @rule()
    def cleanup(self) -> None:
        self.pool.cleanup()

    @invariant()
    def it_holds_what_it_says(self) -> None:
        held = [s for sessions in self.pool._sessions.values() for s in sessions]
        assert len(held) == len(self.pool) <= self.pool.max_sessions
        assert all(self.pool._sessions.values()), "an empty key stays"


Model.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyHistory = Model.TestCase


NAMES = ["a.test", "b.test", "c.test"]


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from([443, 8443]),
            st.integers(0, 4),
            st.booleans(),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_a_session_is_never_offered_across_name_port_or_policy(
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[str, int, int, bool]],
) -> None:
    directory = tmp_path_factory.mktemp("history")
    ca = authority().write_certificate(directory / "ca.pem")
    other = authority().write_certificate(directory / "other.pem")
    policies = [
        TLSPolicy(verify=ca),
        TLSPolicy(verify=other),
        TLSPolicy(verify=False),
        TLSPolicy(verify=ca, alpn=()),
        TLSPolicy(verify=ca, cert=authority().issue("me").write(directory / "me")),
    ]
    issued = authority().issue(*NAMES)
    servers = {v: server_context(issued, v) for v in ("1.2", "1.3")}
    contexts = ClientContexts()
    met = set()
    for name, port, number, is_newest in history:
        version = "1.3" if is_newest else "1.2"
        # One server for all, which would resume anything it has a key for.
        pair = connect(contexts, servers[version], policies[number], name, port)
        key = (name, port, number)
        assert key in met or not pair.is_resumed
        met.add(key)


class TestFile:
    def session(self, created: float = 1000) -> StoredSession:
        made = StoredSession.from_der(
            der_of(created=int(created), hint=300, certificate=b"cert"),
            verified_name="a.test",
            valid_until=9e9,
        )
        assert made is not None
        return made

    def test_sessions_outlive_the_process(self, tmp_path: Path, now: Now) -> None:
        path = tmp_path / "sessions"
        pool = TlsSessionPool(path=path, seconds=now)
        first = self.session()
        pool.save_session(A, first)
        pool.save()
        again = TlsSessionPool(path=path, seconds=now)
        found = again.get_session(A)
        assert found is not None
        assert (found.der, found.certificate) == (first.der, b"cert")
        assert again.stats.stores == 0

    def test_nothing_in_it_counts_as_verified(self, tmp_path: Path, now: Now) -> None:
        path = tmp_path / "sessions"
        pool = TlsSessionPool(path=path, seconds=now)
        pool.save_session(A, self.session())
        pool.save()
        found = TlsSessionPool(path=path, seconds=now).get_session(A)
        assert found is not None
        assert found.verified_name is None
        assert found.valid_until == 0

    def test_what_must_not_be_written_is_not(self, tmp_path: Path, now: Now) -> None:
        path = tmp_path / "sessions"
        pool = TlsSessionPool(path=path, seconds=now)
        private = StoredSession.from_der(der_of(hint=300), may_be_written=False)
        assert private is not None
        pool.save_session(A, private)
        pool.save_session(B, self.session())
        now.seconds += 300
        pool.save_session(A, private)
        pool.save()
        assert len(TlsSessionPool(path=path, seconds=now)) == 0

    def test_one_that_cannot_be_written_is_a_warning(
        self, tmp_path: Path, now: Now
    ) -> None:
        pool = TlsSessionPool(path=tmp_path / "none" / "sessions", seconds=now)
        with capturedLogs() as logged:
            pool.save()
        assert [event["log_level"] for event in logged] == [LogLevel.warn]

    def test_without_a_path_nothing_is_written(self, pool: TlsSessionPool) -> None:
        pool.save()

    def test_a_client_resumes_what_another_process_has_left(
        self, tmp_path: Path
    ) -> None:
        policy = TLSPolicy(verify=authority().write_certificate(tmp_path / "ca.pem"))
        server = server_context(authority().issue("localhost"))
        path = tmp_path / "sessions"
        before = ClientContexts(TlsSessionPool(path=path))
        connect(before, server, policy)
        before.close()
        after = ClientContexts(TlsSessionPool(path=path))
        assert connect(after, server, policy).is_resumed
