//! The limits of a session. Whatever exceeds one is refused, never cut.

/// Nodes in one session.
pub const NODES: usize = 10_000;
/// Bytes of a node's id.
pub const NODE_ID_BYTES: usize = 256;
/// Nodes above a node.
pub const NODE_DEPTH: usize = 64;
/// Bytes of a node's attributes, and of those of a log line, as JSON. A node's are part of every snapshot.
pub const ATTRIBUTE_BYTES: usize = 8 * 1_024;
/// Bytes of an instance's key.
pub const INSTANCE_KEY_BYTES: usize = 128;
/// Bytes of a name, a node type, a context key, a model's name, a reason.
pub const NAME_BYTES: usize = 1_024;
/// Bytes of an error text; it is part of every snapshot.
pub const ERROR_BYTES: usize = 16 * 1_024;
/// Bytes of all context values of one session together, as JSON; they are part of every snapshot.
pub const CONTEXT_BYTES: usize = 1024 * 1024;
/// Bytes of one message or memory text.
pub const CONTENT_BYTES: usize = 1024 * 1024;
/// Tool calls in one message.
pub const TOOL_CALLS: usize = 128;
/// Bytes of one log line's text.
pub const LOG_BYTES: usize = 64 * 1_024;
/// Bytes of a memory's metadata, as JSON.
pub const METADATA_BYTES: usize = 1024 * 1024;
/// Characters of a session's name.
pub const LABEL_NAME_CHARACTERS: usize = 200;
/// Tags of a session.
pub const TAGS: usize = 20;
/// Characters of a tag.
pub const TAG_CHARACTERS: usize = 64;
/// Keys in a session's metadata.
pub const METADATA_KEYS: usize = 50;
/// Bytes of a session's metadata, as JSON.
pub const LABEL_BYTES: usize = 16 * 1_024;
/// Tokens in one `recordUsage`.
pub const TOKENS: u64 = 1_000_000_000_000;
/// US dollars in one `recordUsage`.
pub const COST_USD: i64 = 1_000_000_000;
/// Next nodes that a node decides on; they are part of every snapshot.
pub const NEXT_IDS: usize = 256;
/// Levels of arrays and objects in one JSON value. Parsers stop at 128, and frames, events and stored
/// states wrap a value in some more.
pub const JSON_DEPTH: usize = 100;
/// Milliseconds after a session's end in which usage, messages, logs and memories are still accepted.
pub const LATE_MILLIS: i64 = 60_000;
/// Ancestors of a fork.
pub const FORKS: usize = 100;
/// Periods of being held by a fork or an import that a state remembers; older ones are dropped.
pub const HOLDS: usize = 200;
/// Commands in one atomic array.
pub const COMMANDS: usize = 1_000;
/// Bytes of a command id or an idempotency key.
pub const COMMAND_ID_BYTES: usize = 256;
