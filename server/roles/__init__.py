"""The processes of one server: the one that reads meters and writes, and those that serve people.

    estate645 serve -> collector + jobs + writer ===channel=== web process (HTTP, its own reading connections)

`processes` starts and watches web processes, `web` is what runs in one; `desk` answers what they ask, and `remote` is
what they ask through. With `web_processes = 0` there is one process, and none of this is used but `http`.
"""
