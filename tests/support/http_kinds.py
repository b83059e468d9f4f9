"""The mailbox servers behind HTTP, by name: what the contract suite and the integration tests open them with."""

# Fakes: what real servers cannot be made to show, they can.
FAKES = []


def open_kind(name, certificates):
    """A running MailboxServer."""
    raise KeyError(name)
