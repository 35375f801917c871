"""What is not run on Windows under Wine, and why.

What fails there and is not understood is not here, so that it goes on failing.
"""

from __future__ import annotations

NO_UNIX = "no Unix sockets in Twisted on Windows"
NO_SENDFILE = "no sendfile(2): files are read and written"
NO_CACHE = "Windows does not say what is in its cache, so nothing is fetched ahead"
OPEN_FILES = "it removes a file that is being served, which Windows refuses"
REPLACED = "it replaces a file that somebody reads, which Windows refuses"
NO_ADOPTION = "Twisted's IOCP reactor cannot take over a socket"
NO_PAUSE = "a port of Twisted's on IOCP cannot pause"
NO_DESCRIPTORS = "it needs a reactor that watches sockets, as httpx-iocp does"
NO_PORT = "its ports on IOCP are Twisted's, and so are their options"
COARSE = "it measures processor time, which Wine counts in ticks of 10 ms"
NO_PREAD = "no pread(2): what is not sent by the kernel is read from where it stands"
NO_FORK = "Windows has no fork(2)"
NO_MODES = "Windows keeps no modes of files: there is nothing to refuse"
NO_POLLER = "the background's reactor is Twisted's select there"
COARSE_CLOCK = "it waits 0.1 ms, and Python's clock there counts milliseconds"
NO_LIMIT = "it limits files or descriptors, by setrlimit(2)"
NO_LINKS = "Wine 8's CreateSymbolicLinkW makes nothing, and says that it has"
NO_PIPES = "it makes a named pipe in a directory, and Windows has them elsewhere"
TWO_NAMES = "Wine calls its interface lo in one function and loopback_1 in another"
BY_THE_BYTE = "it sends 160 kB byte by byte, and each call asks Wine's server"
NEVER_FULL = "a pair of sockets is one over TCP there, and 30 kB do not fill it"
NO_SUCH_NAME = "names of files are UTF-16 there: none is of bytes that are no UTF-8"
NO_SIGNALS = "it sends a signal, and Windows has none to send"

MODULES: dict[str, str] = {
    "transport/test_file_sender.py": NO_SENDFILE,
    "reactors/test_ring.py": "a ring is Linux's",
    "transport/test_undelivered.py": "only Linux tells what is not delivered",
}
"""Below tests/: what is not even imported."""

TESTS: dict[str, dict[str, str]] = {
    "*": {
        "protocol/test_grammar.py::*test_hostile_extensions_are_read_once": COARSE,
        "protocol/test_http1.py::*cost*": COARSE,
        "reactors/test_poller.py::SelectP*::*never_shorter*": COARSE_CLOCK,
        "app/files/test_directory.py::*links_are_followed*": NO_LINKS,
        "app/files/test_directory.py::*behind_a_link_says_so_too": NO_LINKS,
        "app/files/test_directory.py::*itself_may_be_a_link*": NO_LINKS,
        "app/files/test_directory.py::Listing::*links_are_in_it*": NO_LINKS,
        "app/files/test_directory.py::*no_url_can_have*": NO_SUCH_NAME,
        "app/files/test_opened.py::*other_errors_are_the_callers": NO_LINKS,
        "app/files/test_static.py::*dot_files_and_links_are_given*": NO_LINKS,
        "tls/test_session_file.py::*only_its_owner_can_read_it": NO_MODES,
        "tls/test_session_file.py::*others_can_read_is_ignored": NO_MODES,
        "tls/test_session_file.py::*of_another_user_is_ignored": NO_MODES,
        "tls/test_session_file.py::*takes_the_place_of_the_old*": REPLACED,
        "tls/test_session_file.py::*what_is_no_file_is_ignored": NO_PIPES,
        "tls/test_session_file.py::*a_link_is_not_followed": NO_LINKS,
        "transport/test_listener.py::*an_address_with_a_scope_has_its*": TWO_NAMES,
        "transport/test_listener.py::Exhaustion::*": NO_LIMIT,
        "transport/test_openssl.py::*do_those_that_want_an_answer": NEVER_FULL,
        "transport/test_tls_stream.py::*any_split_of_the_ciphertext*": BY_THE_BYTE,
        "transport/test_tls_port.py::test_twisted_s_own*": "its reactors are Linux's",
        "workers/test_tasks.py::*test_a_thread_that_is_interrupted*": NO_SIGNALS,
        "workers/test_disk.py::Fetching::*": NO_CACHE,
        "workers/test_disk.py::RealThreads::*": NO_CACHE,
        "client/test_authentication.py::*nobody_elses_to_read": NO_MODES,
        "client/test_background.py::*test_ours_are_preferred*": NO_POLLER,
        "client/test_background.py::*test_children_of_a_program*": NO_FORK,
        "client/test_content.py::*test_file_on_a_disk_is_sent*": NO_PREAD,
        "client/test_file_pieces.py::SpanTests::*": NO_PREAD,
        "client/test_dialing.py::*test_server_is_reached_by_its_path": NO_UNIX,
        "client/test_dialing.py::*test_where_tls_is_twisteds_as_much*": NO_UNIX,
        "client/test_content.py::*test_path_without_a_file*": "it names /dev/null",
        "client/test_files.py::UploadTests::*by_the_kernel": NO_SENDFILE,
        "client/test_files.py::UploadTests::*the_kernel_sends_it": NO_UNIX,
        "client/test_files.py::UploadTests::*is_a_write_timeout": NO_SENDFILE,
        "client/test_multipart.py::LengthTests::*on_a_disk_is_a_span": NO_PREAD,
        "client/test_multipart.py::*test_a_reading_gives_piece*": NO_PREAD,
        "client/test_sending.py::FileTests::*stopped_it_waits_for_no_disk": NO_PREAD,
        "client/test_sending.py::FileTests::*the_kernel_sends_it": NO_PREAD,
        "client/test_sending.py::FileTests::*what_cannot_be_fetched*": NO_PREAD,
        "client/test_sending.py::FileTests::*what_is_not_in_memory*": NO_PREAD,
        "client/test_sending.py::FileTests::*does_not_take_waits_for_room": NO_PREAD,
        "client/test_part_file.py::*test_discarding_never_fails": OPEN_FILES,
        "client/test_part_file.py::*test_a_link_is_followed": NO_LINKS,
        "client/test_part_file.py::*test_its_mode_is_that*": NO_MODES,
        "client/test_part_file.py::*what_is_no_file_is_not*": NO_PIPES,
        "client/test_files.py::*test_a_disk_without_room*": NO_LIMIT,
        "server/test_real_sockets.py::UnixConversations::*": NO_UNIX,
        "server/test_file_sending.py::*test_over_a_unix_socket": NO_UNIX,
        "server/test_server.py::*test_a_unix_socket_has_no_port": NO_UNIX,
        "server/test_server.py::*serves_on_several_endpoints": NO_UNIX,
        "server/test_server.py::*test_a_signal_ends_it*": NO_SIGNALS,
        "server/test_ready_files.py::ByTheKernel::*": NO_SENDFILE,
        "server/test_file_sending.py::*test_what_is_not_in_memory*": NO_CACHE,
        "server/test_real_sockets.py::*test_files_arrive_whole*": OPEN_FILES,
        "server/test_asyncio.py::*httpx-poll*": "no poll(2)",
        "server/test_asyncio.py::*epoll*": "no epoll(7)",
    },
    "iocp": {
        "transport/test_listener.py::Reactors::*": NO_DESCRIPTORS,
        "transport/test_stream_client.py::LiveDials::*": NO_DESCRIPTORS,
        "transport/test_tls_*.py::Live*::*": NO_DESCRIPTORS,
        "server/test_real_sockets.py::AdoptedPortConversations::*": NO_ADOPTION,
        "server/test_event_server.py::*at_its_limit_it_leaves_who_comes*": NO_PAUSE,
        "server/test_event_server.py::*storm_in": NO_PAUSE,
        "server/test_event_server.py::*told_of_backlog_and_keepalive": NO_PORT,
        "server/test_server.py::*over_the_limit_wait_their_turn": NO_PAUSE,
    },
}
"""By the reactor, "*" for every one: patterns of pytest's names below tests/."""
