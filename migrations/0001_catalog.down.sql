DROP TABLE workflows;
DROP TABLE agents;
DROP TABLE groups;
