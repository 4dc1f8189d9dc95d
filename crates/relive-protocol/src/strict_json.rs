//! Which members JSON from clients may have: those in the OpenAPI document, and no others.
//!
//! The shapes are made from the same schemas as the document, so what is accepted and what is documented
//! cannot differ.

use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use utoipa::ToSchema;

mod shape;
mod tree;

use super::lease::{self, LeaseFault};
use super::{
    ArchiveSessions, ClientFrame, Commands, ControlRequest, CreateKey, CreateMemory, CreateProject, CreateSession,
    CreateToken, DeleteSessions, ForkSession, LeasedCommands, NodeUpdate, RenewLease, ReplaceProject, Retention,
    ReviewRequest, SearchMemories, SignalRequest, TokenChunk, shortened,
};
use relive_session::{
    AgentFields, AlertFields, ChangeAlert, Command, GroupFields, RotateWebhookSecret, ScheduleFields, WorkflowFields,
    WriteWebhook,
};
use shape::Shape;
pub use shape::{UnknownField, WrongKind, nearest};
use tree::Tree;

/// Members that the answer about an entity has besides the fields that can be set. Clients that read an
/// entity, change it and write it back send them too.
const READ_ONLY: &[&str] = &["id", "createdAt", "updatedAt"];
/// Those of webhooks and schedules.
const READ_ONLY_OF_OTHERS: &[&str] =
    &["id", "createdAt", "updatedAt", "disabledReason", "previousSecretUntil", "nextRunAt", "lastRun"];

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Unknown(#[from] UnknownField),
    #[error(transparent)]
    Kind(#[from] WrongKind),
    #[error("{0}")]
    Malformed(String),
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(shortened(error.to_string()))
    }
}

impl From<LeaseFault> for ReadError {
    fn from(fault: LeaseFault) -> Self {
        match fault {
            LeaseFault::Json(error) => error.into(),
            LeaseFault::Impossible(which) => Self::Malformed(which),
        }
    }
}

/// JSON from clients: a body, or a frame.
pub trait FromClient: DeserializeOwned + ToSchema + 'static {
    /// The members it may have.
    fn shape() -> &'static Shape;

    /// Reads a text, and refuses members that the type does not have. Objects are objects: the form as an
    /// array of the members' values, which the parser takes as well, is refused too.
    ///
    /// # Errors
    ///
    /// [`ReadError::Unknown`] and [`ReadError::Kind`] even if something else is wrong too: a misspelled field
    /// is often also a missing one.
    fn read(text: &str) -> Result<Self, ReadError> {
        check(text, Self::shape(), &[])?;
        parse(text)
    }

    /// As [`FromClient::read`], for the replacement of an entity: its read-only members are ignored.
    ///
    /// # Errors
    ///
    /// As [`FromClient::read`].
    fn read_replacement(text: &str) -> Result<Self, ReadError> {
        check(text, Self::shape(), Self::read_only())?;
        parse(text)
    }

    /// Members that a replacement may have and that are ignored.
    #[must_use]
    fn read_only() -> &'static [&'static str] {
        READ_ONLY
    }
}

/// A text that is not JSON has no unknown members; its error comes from the parser.
fn check(text: &str, shape: &Shape, also: &[&str]) -> Result<(), ReadError> {
    serde_json::from_str::<Tree<'_>>(text).map_or(Ok(()), |tree| shape.check(&tree, also))
}

/// What is wrong in an array is said with its place, which takes a second reading.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ReadError> {
    serde_json::from_str(text).map_err(|error| in_array::<T>(text).unwrap_or_else(|| error.into()))
}

/// The error of a text with its path, if that leads into an array.
fn in_array<T: DeserializeOwned>(text: &str) -> Option<ReadError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let error = serde_path_to_error::deserialize::<_, T>(&mut reader).err()?;
    let path = error.path().to_string().escape_debug().to_string();
    path.contains('[').then(|| ReadError::Malformed(shortened(format!("{path}: {}", error.inner()))))
}

macro_rules! from_client {
    ($($type:ty),* $(,)?) => {
        $(impl FromClient for $type {
            fn shape() -> &'static Shape {
                static SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<$type>);
                &SHAPE
            }
        })*
    };
}

from_client!(
    AgentFields,
    AlertFields,
    ArchiveSessions,
    ChangeAlert,
    ControlRequest,
    CreateKey,
    CreateMemory,
    CreateProject,
    CreateSession,
    CreateToken,
    DeleteSessions,
    ForkSession,
    GroupFields,
    NodeUpdate,
    RenewLease,
    ReplaceProject,
    Retention,
    ReviewRequest,
    RotateWebhookSecret,
    SearchMemories,
    SignalRequest,
    WorkflowFields,
);

macro_rules! with_states {
    ($($type:ty),* $(,)?) => {
        $(impl FromClient for $type {
            fn shape() -> &'static Shape {
                static SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<$type>);
                &SHAPE
            }

            fn read_only() -> &'static [&'static str] {
                READ_ONLY_OF_OTHERS
            }
        })*
    };
}

with_states!(ScheduleFields, WriteWebhook);

impl FromClient for Commands {
    fn shape() -> &'static Shape {
        static SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<Commands>);
        &SHAPE
    }

    /// By hand: the errors of an untagged enum do not say what is wrong.
    fn read(text: &str) -> Result<Self, ReadError> {
        check(text, Self::shape(), &[])?;
        if !text.trim_start().starts_with('[') {
            return Ok(Self::One(Box::new(serde_json::from_str(text)?)));
        }
        match serde_json::from_str(text) {
            Ok(commands) => Ok(Self::Several(commands)),
            Err(error) => Err(at_index::<Command>("", text).unwrap_or_else(|| error.into())),
        }
    }
}

impl FromClient for Vec<TokenChunk> {
    fn shape() -> &'static Shape {
        static SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<Vec<TokenChunk>>);
        &SHAPE
    }

    fn read(text: &str) -> Result<Self, ReadError> {
        check(text, Self::shape(), &[])?;
        serde_json::from_str(text).map_err(|error| at_index::<TokenChunk>("", text).unwrap_or_else(|| error.into()))
    }
}

impl FromClient for LeasedCommands {
    fn shape() -> &'static Shape {
        Commands::shape()
    }

    fn read(text: &str) -> Result<Self, ReadError> {
        Ok(Self { commands: Commands::read(text)?, lease_seconds: lease::of_commands(text)? })
    }
}

impl FromClient for ClientFrame {
    fn shape() -> &'static Shape {
        static SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<ClientFrame>);
        &SHAPE
    }

    fn read(text: &str) -> Result<Self, ReadError> {
        check(text, Self::shape(), &[])?;
        let mut frame =
            serde_json::from_str(text).map_err(|error| of_commands(text).unwrap_or_else(|| error.into()))?;
        if let Self::Command(command) = &mut frame {
            command.lease_seconds = lease::of_frame(text)?;
        }
        Ok(frame)
    }
}

/// Which command of a frame is at fault, if it is one of an array. By hand: an error inside of a tagged enum does not
/// say where it is.
fn of_commands(text: &str) -> Option<ReadError> {
    #[derive(Deserialize)]
    struct Several<'a> {
        #[serde(borrow)]
        commands: &'a RawValue,
    }
    at_index::<Command>("commands", serde_json::from_str::<Several<'_>>(text).ok()?.commands.get())
}

/// Which item of the array at a place is at fault, if the array itself is sound.
fn at_index<T: DeserializeOwned>(place: &str, text: &str) -> Option<ReadError> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    items.iter().enumerate().find_map(|(index, item)| {
        let error = serde_json::from_str::<T>(item.get()).err()?;
        Some(ReadError::Malformed(shortened(format!("{place}[{index}]: {error}"))))
    })
}

#[cfg(test)]
mod tests;
