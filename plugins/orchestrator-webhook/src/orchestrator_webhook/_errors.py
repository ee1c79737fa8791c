"""Every exception of the plugin.

::

    OrchestratorError
    ├── ConfigurationError
    │   └── WebhookConfigurationError      an option can't be what it is
    │       └── MissingWebhookURLError
    └── WebhookError
        ├── BadStatusError                 the receiver's answer was no success
        ├── UnansweredError                there was no answer: connection, TLS, time-out
        ├── EgressRefusedError             the address is not a public one, and was not opened
        ├── ListenError                    the listener can't be had: its port or its path is taken
        └── AsyncioOnlyError               the program runs on another event loop
"""

from __future__ import annotations

from orchestrator_core import ConfigurationError, OrchestratorError


class WebhookConfigurationError(ConfigurationError):
    """An option of a webhook input or process can't be what it is."""


class MissingWebhookURLError(WebhookConfigurationError):
    """A webhook process has no URL to call."""

    def __init__(self) -> None:
        super().__init__('error creating webhook: missing "url" config value')


class WebhookError(OrchestratorError):
    """The root of what goes wrong at run time."""


class BadStatusError(WebhookError):
    """The receiver answered, but not with a success.

    Attributes:
        url: what was called, without its query.
        status: the answer's status with its reason, for example ``404 Not Found``.
    """

    def __init__(self, url: str, status: str) -> None:
        self.url = url
        self.status = status
        super().__init__(f'error calling webhook: {url} returned "{status}"')


class UnansweredError(WebhookError):
    """The receiver gave no answer that can be read, so whether it has seen the request is unknown.

    Attributes:
        url: what was called, without its query.
        cause: what happened.
    """

    def __init__(self, url: str, cause: str) -> None:
        self.url = url
        self.cause = cause
        super().__init__(f"error calling webhook: {url}: {cause}")


class EgressRefusedError(WebhookError):
    """The receiver's name leads to an address that is not a public one, and that nobody has opened.

    Attributes:
        host: the host of the URL.
        address: where it leads.
        kind: what that address is.
        network: the network to open, if it is meant.
        refusal: what is wrong, without the remedy, which depends on who is told.
    """

    def __init__(self, host: str, address: str, kind: str, network: str) -> None:
        self.host = host
        self.address = address
        self.kind = kind
        self.network = network
        leads = "is" if host.strip("[]") == address else f"leads to {address},"
        self.refusal = f"{host} {leads} {kind}"
        super().__init__(f'{self.refusal}: if that is meant, set allow_networks = ["{network}"]')


class ListenError(WebhookError):
    """An input can't listen where it is told to."""


class AsyncioOnlyError(WebhookError):
    """The program runs on trio, and the HTTP libraries run on asyncio alone."""

    def __init__(self) -> None:
        super().__init__("webhooks work on asyncio only: run the program as anyio.run(main, backend='asyncio')")
