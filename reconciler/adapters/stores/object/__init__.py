"""State in an object store (extra ``object``): S3, GCS or Azure, by conditional writes and a lease (C1).

``bucket`` speaks to the service and explains its errors, ``lease`` takes and keeps the lock, ``session``
writes while it is held, ``store`` puts them together. obstore is imported nowhere else, and late.
"""
