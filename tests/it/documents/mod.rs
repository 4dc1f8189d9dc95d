//! What the documents say, held to what is there.

mod conversation;
mod declarations;
mod limits;
mod links;
pub mod markdown;
mod names;
mod nodes;
mod protocol;
mod readme;
mod report;
mod run_by;
mod settings;
