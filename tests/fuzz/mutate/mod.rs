//! Changes of inputs: of bytes, of JSON, of texts made of words, of WebSocket frames, of files of lines.

pub mod bytes;
pub mod frames;
pub mod json;
pub mod lines;
pub mod words;
