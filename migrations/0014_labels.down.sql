DROP TRIGGER index_labels_of_deleted ON sessions;
DROP TRIGGER index_labels ON sessions;
DROP TRIGGER index_labels_of_new ON sessions;
DROP FUNCTION relive_index_labels();
DROP FUNCTION relive_labels(text, text, text[], jsonb);
DROP FUNCTION relive_metadata_label(text, text, jsonb);
DROP FUNCTION relive_label(text, text, text);
DROP TABLE session_labels;
ALTER TABLE sessions
    DROP COLUMN labels_revision,
    DROP COLUMN metadata,
    DROP COLUMN tags,
    DROP COLUMN name;
