"""Which meters of a simulated estate cannot be heard now, and which ever had a fault."""

COMMUNICATION = "communication"


class Trouble:
    """Asks the world for its faults; `meters` are the simulated ones by address."""

    def __init__(self, world, meters):
        self._world = world
        self._meters = meters

    def unheard(self):
        """Meters that nothing, and those that only sometimes something is heard of."""
        deaf, flaky = set(), set()
        for active in self._world.faults.running():
            if active.fault.group != COMMUNICATION:
                continue
            whole = active.config.kind in ("silent", "concentrator_reboot")
            (deaf if whole else flaky).update(self._concerned(active.config))
        return deaf, flaky

    def doubtful(self):
        """Those that cannot be heard or ever had a fault of another kind: nobody expects that they are cut at once."""
        found = set().union(*self.unheard())
        for one in self._world.faults.faults:
            if one.fault.group != COMMUNICATION:
                found.update(self._concerned(one.config))
        return found

    def _concerned(self, config):
        if config.where == "bus":
            return [name for name, meter in self._meters.items() if meter.config.bus_id == config.name]
        return [self._world.household(config.name).meter.address]
