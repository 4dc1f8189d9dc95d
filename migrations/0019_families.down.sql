DROP TRIGGER release_children ON sessions;
DROP TRIGGER leave_family ON sessions;
DROP TRIGGER enter_family ON sessions;
DROP FUNCTION relive_release_children();
DROP FUNCTION relive_leave_family();
DROP FUNCTION relive_enter_family();
DELETE FROM session_labels USING sessions
    WHERE session_id = id AND label = relive_label(project_id, 'parent', parent_session_id::text);
DROP TABLE session_families;
-- The index of roots goes with its column.
ALTER TABLE sessions
    DROP COLUMN parent_node_id,
    DROP COLUMN parent_session_id;
