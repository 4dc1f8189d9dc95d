DROP TABLE retention_rules;
DROP TABLE retention;
