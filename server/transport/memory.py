"""In-process transport: a bell that tells listeners to look at the database.

Rings may be lost or repeated without harm, since every listener works from committed rows. Listeners on another
thread or event loop hand the ring over with `call_soon_threadsafe` themselves.
"""

from collections import defaultdict
from collections.abc import Callable
from threading import Lock

Listener = Callable[[str, str], None]


class Bell:
    """Topic -> listeners; `ring` is cheap and never blocks on a listener's work."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = defaultdict(list)
        self._lock = Lock()

    def listen(self, topic: str, listener: Listener) -> Callable[[], None]:
        """Call `listener(topic, key)` on each ring of `topic` ("*" for all); returns the way to stop."""
        with self._lock:
            self._listeners[topic].append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners[topic]:
                    self._listeners[topic].remove(listener)

        return stop

    def ring(self, topic: str, key: str) -> None:
        """Deliver to the listeners of `topic` and of "*"."""
        with self._lock:
            listeners = [*self._listeners.get(topic, ()), *self._listeners.get("*", ())]
        for listener in listeners:
            listener(topic, key)
