"""A checkpoint that interrupts the training that it belongs to."""

from rdrepro.runs.checkpoints import FileCheckpoint

HERE = {"dirty": False, "threads": 1, "device": "cpu"}


class StoppedError(Exception):
    pass


class Interrupting(FileCheckpoint):
    """Saves the state after some steps and ends the training there."""

    def __init__(self, path, after):
        super().__init__(path, "key", HERE)
        self.left = after

    def due(self):
        self.left -= 1
        return self.left == 0

    def save(self, tensors, facts):
        super().save(tensors, facts)
        raise StoppedError
