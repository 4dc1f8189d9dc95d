DROP TABLE memories;
DROP FUNCTION relive_words;
DROP EXTENSION vector;
DROP TABLE session_messages;
