DROP FUNCTION relive_fence;
DROP TABLE session_usage;
DROP TABLE session_keyframes;
DROP TABLE session_commands;
DROP TABLE session_events;
DROP TABLE sessions;
