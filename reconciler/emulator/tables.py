"""The tables, as the steps that lead from one format of the database to the next.

A new file takes all steps, an older one those that it lacks, in one transaction. A step that was once
released is never changed: a change of tables is another step.
"""

from __future__ import annotations

# created_us is unique and rising, so it is the key, the order of a listing and the page's mark at once.
_BATCHES = """
CREATE TABLE batches (
    created_us INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL,
    directory_id TEXT NOT NULL,
    job_type TEXT NOT NULL,
    configuration_id TEXT NOT NULL,
    fields TEXT,
    status TEXT NOT NULL,
    failure TEXT,
    updated_us INTEGER NOT NULL
);
CREATE INDEX batches_by_directory ON batches (directory_id, created_us);
CREATE INDEX batches_by_status ON batches (status, created_us);
CREATE TABLE files (
    batch_us INTEGER NOT NULL REFERENCES batches (created_us),
    position INTEGER NOT NULL,
    file_id TEXT NOT NULL,
    name BLOB NOT NULL,
    mapped INTEGER NOT NULL DEFAULT 0,
    mapping_error TEXT,
    job_id TEXT UNIQUE,
    job_status TEXT,
    job_error TEXT,
    started_us INTEGER,
    finished_us INTEGER,
    PRIMARY KEY (batch_us, position)
) WITHOUT ROWID;
"""

# attempt: how many batches of the key came before. due_us: when the next move is due; null when none is,
# or when it depends on something else than a moment. cancelling: a cancel was asked for and falls due.
# duplicates: batches whose key an earlier one has that neither failed nor was cancelled.
# likeness: the names of what the batch is over, which two runs have in common, unlike its ids.
_LIFE = """
ALTER TABLE batches ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN cancelling INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN due_us INTEGER;
ALTER TABLE batches ADD COLUMN likeness TEXT NOT NULL DEFAULT '';
UPDATE batches SET due_us = created_us WHERE status IN ('PENDING', 'RUNNING');
CREATE INDEX batches_by_due ON batches (due_us) WHERE due_us IS NOT NULL;
CREATE INDEX batches_undue ON batches (status, created_us) WHERE due_us IS NULL;
CREATE INDEX batches_by_key ON batches (directory_id, job_type, configuration_id, created_us);
CREATE VIEW duplicates AS
SELECT batches.*, first.id AS earlier_id FROM batches JOIN (
    SELECT min(created_us) AS first_us, project_id, directory_id, job_type, configuration_id
    FROM batches WHERE status NOT IN ('FAILED', 'CANCELLED')
    GROUP BY directory_id, job_type, configuration_id, project_id
) USING (project_id, directory_id, job_type, configuration_id)
JOIN batches AS first ON first.created_us = first_us
WHERE batches.created_us > first_us;
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    real_us INTEGER NOT NULL,
    shown_us INTEGER NOT NULL,
    speed REAL NOT NULL
);
"""

# A directory's `folder` is the name (its bytes) of the folder that its row lies over: what the row has
# replaces, and deleted_us hides. It is null for one that the API created. A file's `source` is the name of
# what holds its content: an upload's, or, where file_id is null, that of the folder's file that the row lies
# over. Names are compared bytewise, as the pages of a list are cut.
_DIRECTORIES = """
CREATE TABLE directories (
    id TEXT PRIMARY KEY,
    folder BLOB,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    description TEXT,
    system_metadata TEXT,
    connector_subscription_id TEXT,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    expires_us INTEGER,
    deleted_us INTEGER
);
CREATE INDEX directories_by_name ON directories (name, id) WHERE folder IS NULL;
CREATE INDEX directories_live ON directories (name, id) WHERE folder IS NULL AND deleted_us IS NULL;
CREATE INDEX directories_over_folders ON directories (folder) WHERE folder IS NOT NULL;
CREATE TABLE directory_files (
    id TEXT PRIMARY KEY,
    directory_id TEXT NOT NULL,
    source BLOB NOT NULL,
    name TEXT NOT NULL,
    unique_id TEXT NOT NULL,
    file_id TEXT,
    metadata TEXT,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    deleted_us INTEGER
);
CREATE INDEX directory_files_by_name ON directory_files (directory_id, name, id) WHERE file_id IS NOT NULL;
CREATE INDEX directory_files_live ON directory_files (directory_id, name, id)
    WHERE file_id IS NOT NULL AND deleted_us IS NULL;
CREATE UNIQUE INDEX directory_files_by_unique_id ON directory_files (directory_id, unique_id)
    WHERE file_id IS NOT NULL AND deleted_us IS NULL;
CREATE INDEX directory_files_over_folders ON directory_files (directory_id) WHERE file_id IS NULL;
CREATE TABLE configurations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    product_type TEXT NOT NULL,
    parameters TEXT NOT NULL,
    version_us INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (name, product_type)
);
CREATE INDEX configurations_by_name ON configurations (name, id);
"""

_TALONIC = """
CREATE TABLE talonic_batches (
    created_us INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    error_message TEXT,
    submitted_us INTEGER,
    completed_us INTEGER,
    updated_us INTEGER NOT NULL,
    ready_us INTEGER,
    due_us INTEGER
);
CREATE INDEX talonic_batches_by_due ON talonic_batches (due_us) WHERE due_us IS NOT NULL;
CREATE UNIQUE INDEX talonic_batches_one_accumulates ON talonic_batches (status)
    WHERE status = 'accumulating';
CREATE TABLE talonic_documents (
    created_us INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    source_id TEXT NOT NULL,
    filename TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest TEXT NOT NULL,
    processing_mode TEXT NOT NULL,
    status TEXT NOT NULL,
    error_message TEXT,
    duplicate_of TEXT
);
CREATE UNIQUE INDEX talonic_documents_by_digest ON talonic_documents (source_id, digest)
    WHERE duplicate_of IS NULL;
CREATE TABLE talonic_items (
    batch_us INTEGER NOT NULL REFERENCES talonic_batches (created_us),
    position INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    document_us INTEGER NOT NULL REFERENCES talonic_documents (created_us),
    status TEXT NOT NULL,
    error_message TEXT,
    processed_us INTEGER,
    PRIMARY KEY (batch_us, position)
) WITHOUT ROWID;
"""

# Whom to tell of a batch: their authority is the URL's host and port, `headers` are pairs of name and value.
# A delivery is one event for one of them; its body is as it is sent, and empty when it no longer has to be.
# due_us is by the machine's clock, 0 for at once, and null unless it waits.
_WEBHOOKS = """
CREATE TABLE webhooks (
    batch_us INTEGER NOT NULL REFERENCES batches (created_us),
    position INTEGER NOT NULL,
    url TEXT NOT NULL,
    authority TEXT NOT NULL,
    events TEXT NOT NULL,
    headers TEXT NOT NULL,
    format TEXT NOT NULL,
    secret TEXT,
    PRIMARY KEY (batch_us, position)
) WITHOUT ROWID;
CREATE TABLE webhook_deliveries (
    number INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    event TEXT NOT NULL,
    batch_us INTEGER NOT NULL,
    position INTEGER NOT NULL,
    body BLOB NOT NULL,
    created_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    due_us INTEGER,
    tries INTEGER NOT NULL,
    status INTEGER,
    error TEXT,
    FOREIGN KEY (batch_us, position) REFERENCES webhooks (batch_us, position)
);
CREATE INDEX webhook_deliveries_by_due ON webhook_deliveries (due_us, number) WHERE due_us IS NOT NULL;
"""

STEPS = (_BATCHES, _LIFE + _DIRECTORIES + _TALONIC + _WEBHOOKS)
