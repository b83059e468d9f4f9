"""The mailbox servers behind HTTP, by name: what the contract suite and the integration tests open them with."""

from support.cyrus import BearerProxy, Cyrus
from support.gmail_fake import GmailFake
from support.graph_fake import GraphFake
from support.jmap_fake import JmapFake
from support.maildev import MailDev
from support.rest_fake import MailpitFake, WildDuckFake


def _gmail(certificates):
    return GmailFake(certificates.server, ca_file=certificates.ca)


def _graph(certificates):
    return GraphFake(certificates.server, ca_file=certificates.ca)


def _jmap(certificates):
    return JmapFake(certificates.server, ca_file=certificates.ca)


def _mailpit(certificates):
    return MailpitFake(certificates.server, ca_file=certificates.ca)


def _wildduck(certificates):
    return WildDuckFake(certificates.server, ca_file=certificates.ca)


_MAKERS = {
    "gmail-fake": _gmail,
    "graph-fake": _graph,
    "jmap-fake": _jmap,
    "jmap-cyrus": Cyrus,
    "jmap-cyrus-bearer": BearerProxy,
    "rest-maildev": MailDev,
    "rest-mailpit-fake": _mailpit,
    "rest-wildduck-fake": _wildduck,
}

# All of them, and those that can be made to show faults.
KINDS = tuple(_MAKERS)
FAKES = tuple(kind for kind in KINDS if kind.endswith("-fake"))
# Fakes of services whose addresses are published: see published_urls.
PUBLISHED = ("gmail-fake", "graph-fake")


def open_kind(name, certificates):
    """A running MailboxServer."""
    return _MAKERS[name](certificates)
