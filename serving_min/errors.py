"""What the server raises on purpose.

ServingError
├── BundleError    the bundle is damaged, incomplete or of a newer format: it is not loaded
└── RequestError   the request cannot be answered as it is: HTTP 422
"""


class ServingError(Exception):
    pass


class BundleError(ServingError):
    pass


class RequestError(ServingError):
    pass
