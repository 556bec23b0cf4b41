"""The one error of training: a sentence that says what, where and what to do."""


class TrainingError(RuntimeError):
    """Training cannot go on; nothing saved before is lost."""
