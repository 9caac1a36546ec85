"""What the fake plugins share: a component that does nothing."""

from mdacore import Health


class Inert:
    """Starts, drains and stops without doing anything."""

    def __init__(self, config, context):
        self.config = config
        self.context = context

    def start(self):
        pass

    def drain(self, grace_s):
        return True

    def stop(self):
        pass

    def health(self):
        return Health()
