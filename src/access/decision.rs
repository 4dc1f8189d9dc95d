//! Who may do what: the table of roles and scopes. Pure.

use std::fmt;

use uuid::Uuid;

use relive_session::{Command, SessionId};

use super::grant::Grant;
use super::{Role, Scope, Scopes};

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read one session with everything in it, watch or replay it. Without a subject: what concerns all
    /// sessions of the project, such as statistics.
    ReadSessions,
    /// A list, live or not, that is filtered by [`visibility`].
    ListSessions,
    /// Write a session with its history to a file.
    Export,
    /// Read groups, agents and workflows.
    ReadCatalog,
    /// Search the memories of the project.
    SearchMemories,
    /// Read what the project itself is.
    ReadProject,
    Review,
    Signal,
    /// Start, pause, resume, stop and cancel.
    Control,
    Fork,
    /// Name a session, or give it metadata.
    Label,
    /// Change the tags of a session, and with them who reads it.
    Tag,
    /// Create a session of a stored workflow.
    CreateFromWorkflow,
    /// Create a session of any graph, or of none.
    CreateSession,
    /// Every command that no other action names.
    Command,
    /// Chunks of a message that is still being written.
    Chunks,
    /// Store a memory outside of a run.
    WriteMemory,
    DeleteSession,
    Import,
    /// Write groups, agents and workflows.
    WriteCatalog,
    /// Make, list and revoke keys, and revoke tokens.
    ManageKeys,
    ManageWebhooks,
    ManageSchedules,
    /// Alerts, and who is told of them.
    ManageAlerts,
    ManageRetention,
    ReadAudit,
    /// Give an access token; [`may_issue`] says with which scopes.
    IssueTokens,
    /// Make, list, rename and delete projects.
    ManageProjects,
    ReadMetrics,
}

/// The session that an action concerns, as it is now: what a scope grants can change with it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub id: SessionId,
    pub group_id: Option<Uuid>,
    pub tags: &'a [String],
}

impl Subject<'_> {
    /// A session of which only the id is known. Scopes by tag and by group do not grant it.
    #[must_use]
    pub fn of(id: SessionId) -> Self {
        Self { id, group_id: None, tags: &[] }
    }
}

/// What a caller lacks. Its text names a role, or a scope with the id that the caller has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    Role(Role),
    /// One of these, by what the request asks for.
    AnyRole(Vec<Role>),
    Scope(Scope),
    /// A list, of which no scope grants anything.
    AnyRead,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => write!(f, "this needs the role {role}"),
            Self::AnyRole(roles) => write!(f, "this needs the role {}, by what it asks for", either(roles)),
            Self::Scope(scope) => write!(f, "this needs the scope {scope}"),
            Self::AnyRead => f.write_str("this needs the scope read:sessions, or another one that begins with read:"),
        }
    }
}

impl std::error::Error for Denied {}

/// `reviewer, operator or engine`.
fn either(roles: &[Role]) -> String {
    let names: Vec<_> = roles.iter().map(ToString::to_string).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

impl Denied {
    /// What is missing for a request that may be one of several things, none of which is allowed.
    #[must_use]
    pub fn any_of(missing: Vec<Self>) -> Option<Self> {
        let mut roles = Vec::new();
        for denied in &missing {
            match denied {
                Self::Role(role) if !roles.contains(role) => roles.push(*role),
                _ => {}
            }
        }
        let are_roles = missing.iter().all(|denied| matches!(denied, Self::Role(_)));
        if are_roles && roles.len() > 1 { Some(Self::AnyRole(roles)) } else { missing.into_iter().next() }
    }
}

impl Action {
    pub const ALL: [Self; 29] = [
        Self::ReadSessions,
        Self::ListSessions,
        Self::Export,
        Self::ReadCatalog,
        Self::SearchMemories,
        Self::ReadProject,
        Self::Review,
        Self::Signal,
        Self::Control,
        Self::Fork,
        Self::Label,
        Self::Tag,
        Self::CreateFromWorkflow,
        Self::CreateSession,
        Self::Command,
        Self::Chunks,
        Self::WriteMemory,
        Self::DeleteSession,
        Self::Import,
        Self::WriteCatalog,
        Self::ManageKeys,
        Self::ManageWebhooks,
        Self::ManageSchedules,
        Self::ManageAlerts,
        Self::ManageRetention,
        Self::ReadAudit,
        Self::IssueTokens,
        Self::ManageProjects,
        Self::ReadMetrics,
    ];

    /// The least role that may do it, which errors name.
    #[must_use]
    pub fn least_role(self) -> Role {
        match self {
            Self::ReadSessions
            | Self::ListSessions
            | Self::Export
            | Self::ReadCatalog
            | Self::SearchMemories
            | Self::ReadProject
            | Self::IssueTokens => Role::Viewer,
            Self::Review | Self::Signal => Role::Reviewer,
            Self::Control | Self::Fork | Self::Label | Self::Tag | Self::CreateFromWorkflow => Role::Operator,
            Self::CreateSession | Self::Command | Self::Chunks | Self::WriteMemory => Role::Engine,
            Self::DeleteSession
            | Self::Import
            | Self::WriteCatalog
            | Self::ManageKeys
            | Self::ManageWebhooks
            | Self::ManageSchedules
            | Self::ManageAlerts
            | Self::ManageRetention
            | Self::ReadAudit => Role::Admin,
            Self::ManageProjects | Self::ReadMetrics => Role::Root,
        }
    }

    /// Whether it is done to one session, so that a scope can grant it for some and not for others.
    #[must_use]
    pub fn is_of_a_session(self) -> bool {
        !self.scopes(SessionId(Uuid::nil())).is_empty()
    }

    /// What the role engine may do besides what its name grants: reviews, signals, controls and labels are
    /// commands, and it may create every kind of session.
    fn is_of_engines(self) -> bool {
        matches!(self, Self::Review | Self::Signal | Self::Control | Self::Label | Self::Tag | Self::CreateFromWorkflow)
    }

    fn is_for(self, role: Role) -> bool {
        role.includes(self.least_role()) || (role == Role::Engine && self.is_of_engines())
    }

    /// The scopes that grant it for a session, the narrowest first; none for what is not about one.
    fn scopes(self, id: SessionId) -> Vec<Scope> {
        match self {
            Self::ReadSessions | Self::Export => vec![Scope::ReadSession(id), Scope::ReadSessions],
            Self::Review | Self::Signal => vec![Scope::Review(id), Scope::Write(id)],
            Self::Control => vec![Scope::Control(id), Scope::Write(id)],
            Self::Command | Self::Label | Self::Tag | Self::Chunks => vec![Scope::Write(id)],
            _ => Vec::new(),
        }
    }
}

/// What carrying out a command does.
#[must_use]
pub fn command_action(command: &Command) -> Action {
    match command {
        Command::Start | Command::Pause | Command::Resume | Command::Stop { .. } | Command::Cancel { .. } => {
            Action::Control
        }
        Command::Signal { .. } => Action::Signal,
        Command::SetLabels(labels) if labels.tags.is_some() => Action::Tag,
        Command::SetLabels(_) => Action::Label,
        Command::Hold
        | Command::RenewLease { .. }
        | Command::Stall { .. }
        | Command::LeaveParent
        | Command::Complete { .. }
        | Command::Fail { .. }
        | Command::SetNodeStatus { .. }
        | Command::RecordUsage { .. }
        | Command::SetContext { .. }
        | Command::AddNodes { .. }
        | Command::SetProposal { .. }
        | Command::AddMessage { .. }
        | Command::AddLog { .. }
        | Command::AddMemory { .. } => Action::Command,
    }
}

/// Whether a grant allows an action, on a session if it is about one.
///
/// With [`Grant::Scopes`], a session that cannot be read is to be refused in the same way whether it exists or
/// not: without one, ask with [`Subject::of`].
///
/// # Errors
///
/// What is missing.
pub fn allows(grant: &Grant, action: Action, subject: Option<&Subject<'_>>) -> Result<(), Denied> {
    match grant {
        Grant::Anonymous => Ok(()),
        Grant::Role(role) if action.is_for(*role) => Ok(()),
        Grant::Role(_) => Err(Denied::Role(action.least_role())),
        Grant::Scopes(scopes) => granted(scopes, action, subject),
    }
}

fn granted(scopes: &Scopes, action: Action, subject: Option<&Subject<'_>>) -> Result<(), Denied> {
    if action == Action::ListSessions {
        return if scopes.iter().any(Scope::is_read) { Ok(()) } else { Err(Denied::AnyRead) };
    }
    let Some(subject) = subject else {
        return match action {
            Action::ReadSessions if scopes.contains(&Scope::ReadSessions) => Ok(()),
            Action::ReadSessions => Err(Denied::Scope(Scope::ReadSessions)),
            _ => Err(Denied::Role(action.least_role())),
        };
    };
    if action == Action::Tag {
        return may_tag(scopes, subject.id);
    }
    let granting = action.scopes(subject.id);
    let reads = matches!(action, Action::ReadSessions | Action::Export);
    if granting.iter().any(|scope| scopes.contains(scope)) || (reads && is_shown(scopes, subject)) {
        return Ok(());
    }
    let narrowest = granting.into_iter().next();
    Err(narrowest.map_or(Denied::Role(action.least_role()), Denied::Scope))
}

/// Tags decide who reads a session. So a token that writes changes them only if it reads the session whatever its tags
/// are: otherwise it could let itself and others see what it was not given.
fn may_tag(scopes: &Scopes, id: SessionId) -> Result<(), Denied> {
    if !scopes.contains(&Scope::Write(id)) {
        return Err(Denied::Scope(Scope::Write(id)));
    }
    let reads = [Scope::ReadSession(id), Scope::ReadSessions];
    if reads.iter().any(|scope| scopes.contains(scope)) { Ok(()) } else { Err(Denied::Scope(Scope::ReadSession(id))) }
}

/// Whether a session's tags or its group make it readable.
fn is_shown(scopes: &Scopes, subject: &Subject<'_>) -> bool {
    scopes.iter().any(|scope| match scope {
        Scope::ReadTag(tag) => subject.tags.iter().any(|has| **has == **tag),
        Scope::ReadGroup(group) => subject.group_id == Some(*group),
        _ => false,
    })
}

/// The sessions that lists show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every session of the project.
    All,
    /// Those that one of these names. All are empty if nothing is shown.
    Some { sessions: Vec<SessionId>, groups: Vec<Uuid>, tags: Vec<String> },
}

/// Which sessions of the project lists show.
#[must_use]
pub fn visibility(grant: &Grant) -> Visibility {
    let scopes = match grant {
        // Every role reads.
        Grant::Anonymous | Grant::Role(_) => return Visibility::All,
        Grant::Scopes(scopes) if scopes.contains(&Scope::ReadSessions) => return Visibility::All,
        Grant::Scopes(scopes) => scopes,
    };
    let (mut sessions, mut groups, mut tags) = (Vec::new(), Vec::new(), Vec::new());
    for scope in scopes.iter() {
        match scope {
            Scope::ReadSession(id) => sessions.push(*id),
            Scope::ReadGroup(id) => groups.push(*id),
            Scope::ReadTag(tag) => tags.push(tag.to_string()),
            Scope::ReadSessions | Scope::Review(_) | Scope::Control(_) | Scope::Write(_) => {}
        }
    }
    Visibility::Some { sessions, groups, tags }
}

/// Whether a token with these scopes grants nothing that its issuer does not have.
///
/// # Errors
///
/// The first thing that the issuer lacks. A token gives no further ones.
pub fn may_issue(grant: &Grant, scopes: &Scopes) -> Result<(), Denied> {
    scopes.iter().try_for_each(|scope| match scope {
        Scope::ReadSessions | Scope::ReadSession(_) | Scope::ReadTag(_) | Scope::ReadGroup(_) => {
            allows(grant, Action::IssueTokens, None)
        }
        Scope::Review(id) => may_issue_for(grant, Action::Review, *id),
        Scope::Control(id) => may_issue_for(grant, Action::Control, *id),
        Scope::Write(id) => may_issue_for(grant, Action::Command, *id),
    })
}

fn may_issue_for(grant: &Grant, action: Action, id: SessionId) -> Result<(), Denied> {
    allows(grant, Action::IssueTokens, None)?;
    allows(grant, action, Some(&Subject::of(id)))
}

#[cfg(test)]
mod tests;
