"""The in-process transport: rings reach who listens, and nobody else."""

from server.transport.memory import Bell


def test_a_ring_reaches_its_topic_and_those_who_hear_all():
    bell, heard = Bell(), []
    bell.listen("supply", lambda topic, key: heard.append(("supply", topic, key)))
    bell.listen("*", lambda topic, key: heard.append(("all", topic, key)))
    bell.ring("supply", "bus-1")
    bell.ring("notice", "7")
    assert heard == [("supply", "supply", "bus-1"), ("all", "supply", "bus-1"), ("all", "notice", "7")]


def test_who_stops_listening_hears_no_more_and_may_stop_twice():
    bell, heard = Bell(), []
    stop = bell.listen("supply", lambda topic, key: heard.append(key))
    bell.ring("supply", "a")
    stop()
    stop()
    bell.ring("supply", "b")
    assert heard == ["a"]


def test_a_listener_may_stop_itself_while_it_is_called():
    bell, heard = Bell(), []

    def once(topic, key):
        heard.append(key)
        stop()

    stop = bell.listen("supply", once)
    bell.listen("supply", lambda topic, key: heard.append(f"{key} too"))
    bell.ring("supply", "a")
    bell.ring("supply", "b")
    assert heard == ["a", "a too", "b too"]
