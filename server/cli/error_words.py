"""Errors that commands show and other parts raise in English: each is known by its form, and so said in Chinese.

`tests/server/test_command_errors.py` looks for errors of the commands that nobody translated.
"""

import re

from server.languages import chinese
from server.languages import mark as _

ERRORS = (
    # bills and commands
    _("%(name)s names no bill; write ACCOUNT:57, ACCOUNT:2026-10-13 or ACCOUNT:2026-10"),
    _("%(name)s names no bill: there is no such day"),
    _("account %(name)s has no charge yet; name a month, as in %(month)s, for what else was booked"),
    _("there is no bill %(name)s: no account %(account)s in this estate"),
    _("there is no bill %(name)s: nothing was booked then"),
    _("bill %(name)s is archived; put the archive back to explain it"),
    _("the database holds no estate, so there is no bill to explain; name another one"),
    _("%(name)s names no command; write METER:GEN, such as 000023111202:3"),
    _("no estate of this database has a household meter %(name)s"),
    _("meter %(meter)s was never wanted cut; its newest commands: %(known)s"),
    _("meter %(meter)s has no command %(number)s; its newest commands: %(known)s"),
    # what the books do not bear out of a decision
    _("the balance has no line in the ledger"),
    _("line %(line)s of the ledger is archived; put the archive back to compare it"),
    _("line %(line)s of the ledger is not as it was noted"),
    _("line %(line)s of the ledger does not end at the balance of the decision"),
    _("the reading of %(at)s is not as it was noted"),
    _("the readings that were noted are not those of the decision"),
    _("notice %(name)s is not as it was noted"),
    _("no notice was noted as delivered when the decision says so"),
    _("no final notice was noted as delivered when the decision says so"),
    _("approval %(name)s is not as it was noted"),
    _("the order of two people is not noted"),
    _("the order of two people, approval %(name)s, is not there"),
    _("the order of two people, approval %(name)s, is not as it was noted"),
    _("scheme %(name)s, version %(version)s, is not as it was noted"),
    _("an alert that was noted is not among the estate's"),
    _("grace, final notice or protected times of the decision do not follow from the rules noted"),
    # ports, buses, meters
    _(
        "%(port)s is no port, and no server runs on %(url)s that could have a bus of this name; name the server with "
        "--config FILE or --database URL, or write /dev/ttyUSB0 or tcp://host:port"
    ),
    _("the running server has no bus %(port)s; it has: %(buses)s"),
    _("bus %(bus)s is not being read"),
    _("bus %(bus)s is not open: %(rest)s"),
    _("bus %(bus)s was closed while it was asked"),
    _("the bus did not get to this question within %(span)s s"),
    _("%(text)s; allowed: 12 digits, leading zeros included, or a Modbus unit"),
    _("%(text)s; allowed: the unit of a Modbus meter, 1 to %(most)s"),
    _("%(text)s; allowed: %(digits)s hexadecimal digits, such as %(example)s"),
    _("%(text)s; allowed: all, or an identifier that it has"),
    _("--model is missing; with %(di)s it is one of %(known)s"),
    _("--count %(count)s is wrong; allowed: 1 to %(most)s"),
    _("--tries and --wait-ms must be at least 1"),
    _("%(path)s exists already; name another file, or remove it"),
    # commissioning
    _("--commission takes one PORT, and --meters or --spare-meter (or both)"),
    _("--time-zone %(name)s is not known; allowed: a name such as UTC"),
    _("--spare-meter %(meter)s is wrong; allowed: the 12 digits of its address"),
    _("meter %(meter)s feeds %(room)s in the database; a spare meter feeds nobody"),
    _("%(path)s: not a password file; allowed: six digits"),
    _(
        "%(path)s: cannot be read as the count of refused passwords; look whether it is another file, else remove it "
        "when a day has gone by"
    ),
    _(
        "the database is of another revision, so it cannot be asked whom a meter feeds; name the right one with "
        "--database URL"
    ),
    # databases and servers
    _("there is no database %(path)s; run `estate645 demo` or name one with --database URL"),
    _("database %(url)s is not supported; use sqlite:///FILE or postgresql://..."),
    _("database %(url)s is no URL; use sqlite:///FILE or postgresql://..."),
    _("database %(url)s cannot be used (%(why)s); check that it exists, %(rest)s"),
    _("database %(url)s was written by a newer release (%(revision)s); use that release or a later one"),
    _(
        "SQLite %(version)s has the WAL-reset bug, which can corrupt the file when two processes write; let only one "
        "process use the database and install a library of 3.51.3 or newer (pip install -U pysqlite3)"
    ),
    _("%(path)s: no permission; run this as the user of the server, or as root"),
    _("%(path)s: the running server is too old for `%(name)s`; restart it with this release"),
    _("%(path)s: the server hung up; it may be stopping, or other commands use it"),
    _("%(path)s: the server went away (%(why)s)"),
    _(
        "%(path)s: the running server speaks version %(theirs)s of the admin socket, this command version %(ours)s; "
        "use the same release for both"
    ),
    _("this server does not read meters; ask the one with collect = true"),
    # secrets
    _("%(path)s: cannot be read (%(why)s); name a file that we may read"),
    _("%(path)s: others than its owner may read or write this secret; run: chmod 600 %(name)s"),
    _("%(path)s: needs one or two lines, each a secret of at least %(least)s characters"),
    # verify and reconcile
    _(
        "%(count)s archived lines, of which only hashes were followed: name the folder with their files (--archives "
        "DIR); where a file is gone, nothing says that these lines were ever right"
    ),
    _("%(count)s archived readings, which lie in files that are not at hand (--archives DIR)"),
    _("re-rating %(name)s, whose charges are archived"),
    _("%(count)s charges above their meter's power, whose readings may be archived"),
    _("%(count)s splits at boundaries of tariffs, whose readings may be archived"),
    _(
        "%(count)s heads, from %(first)s to %(last)s, was exported but is not among the signed heads: this is an older "
        "copy of the file, or heads were cut from it; take the newest copy"
    ),
    _(
        "%(head)s was exported but is not among the signed heads: this is an older copy of the file, or heads were cut "
        "from it; take the newest copy"
    ),
    _(
        "batches were sealed for %(hours)s hours after the newest signed head, and a head is due every hour: the "
        "export has failed, or the newest heads were cut off together with what the journal said of them"
    ),
    _("--heads and --public-key belong together; name both files"),
    _("there is no archive in %(path)s; name the folder that `estate645 archive` wrote into"),
    _("the database %(url)s holds no estate, so there is nothing to check; name another one"),
    _("the database %(url)s holds no estate %(names)s, of which there are heads"),
    _("the database holds no estate; name another with --database URL"),
    _("%(path)s: cannot be read (%(why)s); name a file of `estate645 heads`"),
    _("%(path)s: cannot be read (%(why)s); check its permissions"),
    _("provider %(name)s is not set up; name one that --config opens"),
    _("the file is not of %(day)s: name its day with --day"),
    _("--day %(day)s is no day; write YYYY-MM-DD"),
    _("%(path)s: cannot be read (%(why)s)"),
    # settings and estate files
    _("%(where)s: cannot be read (%(why)s); name an existing settings file"),
    _("%(where)s: not valid TOML: %(why)s"),
    _("%(where)s: unknown key %(key)s; allowed keys: %(allowed)s"),
    _("%(where)s: %(key)s = %(value)s is wrong; allowed: %(allowed)s"),
    _("published = %(name)s: there is no such list; known: %(known)s"),
    _(
        "published = %(name)s is not sure (%(quality)s): %(why)s; compare it with the text of the price authority, and "
        "write unsure = true to take it all the same"
    ),
    _("published = %(name)s: %(keys)s cannot stand beside it; allowed: %(allowed)s"),
)
ALLOWED = (  # of settings
    _("0 to 65535; 0 takes a free one"),
    _("0 to 8"),
    _("1 to 720"),
    _("3 or more"),
    _("a URL"),
    _("a host name or address"),
    _("a list of texts or 'hex:FE FE', 1 to 64 bytes each"),
    _("a list such as 10.8.0.0/16; empty: any"),
    _("a path"),
    _("a regular expression over bytes with a group id (text) or hex (bytes)"),
    _("a text"),
    _("an https URL, or http on this machine; empty: none"),
    _("dummy (simulated meters), or a name of the entry points estate645.vending; empty: none"),
    _("host:port; empty: none may"),
    _("path of a PEM file"),
    _("path of a PEM file with mode 600"),
    _("path of a directory of SERIAL.pem"),
    _("path of a file of 32 bytes with mode 600"),
    _("path of a file with mode 600"),
    _("path of a file with mode 600, as `estate645 rekey --new` makes it"),
    _("sqlite:///FILE or postgresql://..."),
    _("true or false"),
    _("zh_CN or en"),
)
_FIELD = re.compile(r"%\\\((\w+)\\\)s")
_KNOWN = tuple((re.compile(_FIELD.sub(r"(?P<\1>.+)", re.escape(one)), re.DOTALL), one) for one in ERRORS)


def known_in_chinese(text: str) -> str:
    """An error of a known form in Chinese; nothing for another."""
    for pattern, message in _KNOWN:
        if (found := pattern.fullmatch(text)) is not None:
            fields = found.groupdict()
            return chinese(message) % {name: chinese(one) if one in ALLOWED else one for name, one in fields.items()}
    return ""
