"""What the server raises on purpose.

ServingError
├── BundleError          the bundle is damaged, incomplete or of a newer format: it is not loaded
├── RequestError         the request cannot be answered as it is: HTTP 422
├── UnknownSurfaceError  the bundle has no such surface: HTTP 404
├── ReleaseError         the registry has no such release, or its bundle has changed since
├── BatchError           the batch job cannot be begun, or go on, as it was asked for
├── BusyError            more requests wait than can be answered in time: HTTP 503
└── StartError           the server cannot listen where it was told to
"""


class ServingError(Exception):
    pass


class BundleError(ServingError):
    pass


class RequestError(ServingError):
    pass


class UnknownSurfaceError(ServingError):
    pass


class ReleaseError(ServingError):
    pass


class BatchError(ServingError):
    pass


class BusyError(ServingError):
    pass


class StartError(ServingError):
    pass
