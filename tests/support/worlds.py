"""The worlds of the test of truth, drawn from a seed: an application, what Limpet knows its clients by, and what may befall them. And what
the contract promises of each."""

import dataclasses
import random

from support.applications import KINDS, Backups, Kind, OneMemory, OwnMemory
from support.transport import HTTP1, HTTP2

SECRETS = {"keys": ["4b" * 32], "hash_secret": "5a" * 32}
AFFINITIES = (["session-id"], ["session-id", "cookie"], ["session-id", "ip"], ["cookie"], ["ip"])
BESIDE_EACH_OTHER = (["session-id", "cookie"], ["cookie"], ["ip"])  # what two balancers can know the same clients by
STORAGES = ("local", "local", "local", "shared", "replicated", "backup", "backup, named")


@dataclasses.dataclass(frozen=True)
class World:
    seed: int
    application: str
    affinity: list
    storage: str
    servers: int
    clients: int
    limpets: int
    evidence: bool     # with `cookie` or `ip` first
    adopts_ids: bool   # the file says that the application adopts ids silently
    posts: bool        # the first thing that a client does after an outage may be a POST
    pauses: bool       # clients pause for longer than an unreturned session lasts
    leaves: bool       # clients leave before their answers
    hangs: bool
    boots: bool        # checks tell of restarts that nobody sees
    failback: str
    tls: bool          # on both sides of Limpet
    front: str         # the version of HTTP of clients; "either": now this, now that
    back: str          # of servers
    keeps: bool        # clients keep a connection by HTTP/2
    crowded: bool      # several clients come from one address, and by one connection if they keep it

    @property
    def kind(self) -> Kind:
        return KINDS[self.application]

    @property
    def by_id(self):
        return self.affinity[0] == "session-id"

    @property
    def knows_tokens(self):
        return "cookie" in self.affinity

    @property
    def names(self):
        return [f"s{number}" for number in range(self.servers)]

    @property
    def backup_of(self):
        """A ring, where backups are named."""
        return dict(zip(self.names, self.names[1:] + self.names[:1])) if self.storage == "backup, named" else None

    @property
    def is_carried(self):
        return self.storage in ("shared", "replicated")

    @property
    def has_copies(self):
        """Of each session one, at another server."""
        return self.storage.startswith("backup")

    @property
    def is_calm(self):
        """Two balancers without tokens do not know of each other's moves: they agree as long as nothing happens."""
        return self.limpets > 1 and not self.knows_tokens

    def memory(self):
        if self.is_carried:
            return OneMemory()
        return OwnMemory() if self.storage == "local" else Backups(self.names, self.backup_of)

    def pool(self, number):
        """The pool of the balancer of that number, by whose checks it is known."""
        waits, interval = ("20s", "20s") if self.is_calm else ("300ms", "200ms")  # a busy machine is nothing that happens
        pool = {"affinity": self.affinity, "storage": self.storage.partition(",")[0], "failback": self.failback, "drain_timeout": "1s",
                "unreturned_timeout": "1s" if self.pauses else "60s", "timeouts": {"head": waits, "connect": waits},
                "health": {"check": "http", "path": "/healthz", "host": f"limpet-{number}", "interval": interval, "fast_interval": "50ms",
                           "timeout": interval, "rise": 1, "fall": 2, **({"instance_header": "X-Boot"} if self.boots else {})}}
        if self.by_id:
            pool["session_id"] = {"sources": [self.kind.place], "adopts_ids": self.adopts_ids}
        elif self.evidence:
            pool["evidence"] = [self.kind.place]
        return pool


def draw(seed):
    """Of as many seeds in succession as there are applications each has another."""
    chance = random.Random(seed)

    def maybe(one_in):
        return chance.randrange(one_in) == 0

    application = list(KINDS)[seed % len(KINDS)]
    kind = KINDS[application]
    affinity = chance.choice([kinds for kinds in AFFINITIES if not kind.header or "cookie" not in kinds])
    by_id = affinity[0] == "session-id"
    storage = chance.choice(STORAGES)
    copies = storage.startswith("backup")  # a request that nobody sees answered would take the session away from its home
    return World(seed, application, affinity, storage, servers=chance.choice((3, 3, 4)), clients=chance.choice((8, 16, 24)),
                 limpets=2 if affinity in BESIDE_EACH_OTHER and maybe(2) else 1, evidence=not by_id and not maybe(3),
                 adopts_ids=by_id and application == "adopts silently" and maybe(2), posts=maybe(3), pauses=maybe(6),
                 leaves=maybe(4) and not copies, hangs=maybe(4) and not copies, boots=maybe(4), failback="return" if maybe(5) else "stay",
                 tls=maybe(3), front=chance.choice((HTTP1, HTTP2, HTTP2, "either")), back=chance.choice((HTTP1, HTTP2)), keeps=maybe(2),
                 crowded=maybe(2) and "ip" not in affinity)


@dataclasses.dataclass(frozen=True)
class Promise:
    """`changes`: what is said of losses to a change of backend: they are told "exact"ly, within "bounds", or those of "visitors" are told,
    who may hold no session; or some are "untold". `restarts`: the same of losses to a restart; where they are untold, a session that its home
    forgot counts at most when it has to move."""

    changes: str
    restarts: str
    why: tuple


def promise(world):
    kind, why = world.kind, []

    def because(word, reason):
        why.append(f"{word}: {reason}")
        return word

    if world.evidence and kind.stale:
        return Promise("visitors", "visitors", ("who holds nothing but a stale cookie looks like one who holds a session",))
    if not world.by_id and not world.evidence:
        return Promise("visitors", "untold", ("with `cookie` and `ip` Limpet sees its own key, not the application's",))

    # Which of the application's answers say that a session has ended or begun.
    changes = restarts = "exact"
    if kind.unknown in ("silent", "guest"):
        changes = because("bounds", "where the answer says nothing, the old id goes on unproven")
        restarts = because("bounds", "401 without a word of the id may be the loss") if kind.unknown == "silent" else because(
            "untold", "the home that came back without the session does not say so")
    elif kind.adopts:
        restarts = because("untold", "the home that came back takes the id up, and neither sets a new one, nor deletes or disowns it")
        if kind.unknown == "adopts" and not world.adopts_ids:
            changes = because("bounds", "the application takes ids up, and neither it nor the file says so")
        elif kind.unknown == "says":
            changes = because("bounds", "a server that it was at before still has its session of that time, and says nothing")
    if world.posts and restarts == "exact":
        restarts = because("bounds", "the first answer to anything but GET and HEAD may be a login's or a logout's")
    if world.pauses:
        changes = because("bounds", "what becomes of a session that idled out before its home went away adds to `lost_at_most` alone")
    if world.has_copies:
        changes = because("bounds", "while more than the home are out, each session is carried or lost")
        if not kind.tells:
            changes = because("untold", "a backup that came back without its copy does not say so")
    return Promise(changes, restarts, tuple(why))
