DROP TABLE open_traces;
