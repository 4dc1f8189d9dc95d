//! Runs a graph: sends commands, listens to events, does the work of the nodes in between.
mod command_node;
mod output;
mod plan;
mod process;
mod regions;
mod schedule;
