"""A Limpet of a test of truth."""

import collections
import signal

from support.status import Status, adds_up


class Balancer:
    """A Limpet that may be restarted; what its processes said is summed up."""

    def __init__(self, scene, config, number):
        self.scene, self.config, self.number = scene, config, number
        self.before = collections.Counter()
        self.start()

    def start(self):
        self.limpet = self.scene.start(self.config)
        self.status = Status(self.limpet)

    def restart(self, how):
        self.before = self.totals()
        self.limpet.stop() if how == signal.SIGTERM else self.limpet.kill()
        self.scene.forget(self.limpet)
        self.start()

    def totals(self):
        """Of all its processes; holds the present one's books."""
        report = self.status.report()
        pool = next(pool for pool in report["pools"] if pool["name"] == "app")
        assert pool["books_imbalance"] == 0
        incidents = self.status.incidents()
        for incident in incidents:
            assert adds_up(incident), incident
        return self.before + collections.Counter(pool["sessions"]["totals"])

    def every_loss_is_in_an_incident(self):
        """A lapse opens within a second. What a first home calls back is no incident's."""
        return sum(incident["lost"] for incident in self.status.incidents()) == self.status.pool()["sessions"]["totals"]["lost"]

    def state(self, name):
        found = [backend for backend in self.status.pool()["backends"] if backend["name"] == name]
        return found[0]["state"] if found else "gone"

    def order(self, name, what):
        answer = self.status.post(f"/pools/app/backends/{name}/{what}")
        assert answer.status in (200, 404, 409), answer.text  # not now, or the file does not name it

    def reload(self, backends):
        self.config["pool"][0]["backend"] = backends
        answer = self.status.reload()
        assert answer.status == 200, answer.text
