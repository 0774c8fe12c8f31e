"""The one exception for what a user can mend."""


class UserError(Exception):
    """Bad input, in one line: what is wrong, where, and what to do.

    Programs print it as ``<program>: error: <message>`` and exit with status 1, without a traceback.
    """
