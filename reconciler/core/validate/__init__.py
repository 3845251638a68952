"""From documents as read to a project's values, or to everything that is wrong with them.

The walk: ``kinds`` tells what a document is; ``schema`` holds it against the JSON Schema of its kind;
``build_project`` and ``build_manifest`` make values of what fits; ``across`` compares the values with
each other. Faults are values too: they are gathered, placed, sorted (R17) and returned, never raised.
"""

from reconciler.core.validate.across import project_digest
from reconciler.core.validate.environment import unset_variables
from reconciler.core.validate.installed import foreign_types
from reconciler.core.validate.manifests import Manifests, validate_manifests
from reconciler.core.validate.project import validate_project
from reconciler.core.validate.windows import Zones

__all__ = [
    "Manifests",
    "Zones",
    "foreign_types",
    "project_digest",
    "unset_variables",
    "validate_manifests",
    "validate_project",
]
