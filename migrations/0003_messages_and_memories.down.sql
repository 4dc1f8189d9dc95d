DROP TABLE memories;
DROP EXTENSION vector;
DROP TABLE session_messages;
