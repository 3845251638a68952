"""Manifests on disk: finding the files, and turning their YAML into documents.

What a document means is not decided here (``core/validate`` does that); here is only what text can be
wrong by itself. Whatever the bytes are, the answer is documents and diagnostics, in bounded memory.
"""

from reconciler.adapters.manifests.files import find_manifests, fits, read_json_file, read_manifest
from reconciler.adapters.manifests.json_reader import read_json
from reconciler.adapters.manifests.reader import read_documents

__all__ = ["find_manifests", "fits", "read_documents", "read_json", "read_json_file", "read_manifest"]
