//! Runs a graph: sends commands, listens to events, does the work of the nodes in between.
mod regions;
mod schedule;
