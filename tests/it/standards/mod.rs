//! Others' standards, checked with their own packages: AG-UI, AsyncAPI.

mod ag_ui;
mod ag_ui_interrupts;
mod asyncapi;
