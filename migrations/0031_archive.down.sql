DROP TABLE restored_sessions;
DROP TRIGGER id_is_not_archived ON sessions;
DROP FUNCTION relive_id_is_not_archived();
DROP TABLE archived_sessions;
DROP FUNCTION relive_remove_archive_file();
DROP TABLE archive_files;
