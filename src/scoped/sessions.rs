//! Sessions, as a caller reaches them.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Refused, Scoped};
use crate::access::limits::{LiveSessionPermit, QuotaExceeded};
use crate::access::{Action, Denied, Grant, Subject, command_action};
use crate::hub::{Chunk, CreateOptions, HubError, Receipt, ReplyTo, Submission};
use crate::storage::{
    Constraint, FamilyUsage, JournalReader, KeyClaim, KeyedRequest, LogFilter, LogLines, MessageCursor, MessageFilter,
    MessageOrder, Page, PageCursor, PlacedMessage, SessionFilter, SessionOwner, Storage, StorageError, UsageRow,
};
use relive_session::{
    Actor, Command, Created, OutputRef, Recorded, Revision, Session, SessionId, SessionSummary, Texts, Timestamp,
};

/// A session that the caller may read: what is read of it from the database needs one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable {
    id: SessionId,
}

impl Readable {
    #[must_use]
    pub fn id(self) -> SessionId {
        self.id
    }
}

/// Whether a session may be read as it is now.
pub type ReadableNow = Arc<dyn Fn(&Session) -> bool + Send + Sync>;

impl Scoped {
    /// The committed state of a session.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] if the project has no such session, [`Refused::Denied`] if it may not be read.
    pub async fn session(&self, id: SessionId) -> Result<Arc<Session>, Refused> {
        self.session_for(id, Action::ReadSessions).await
    }

    /// The committed state of a session, for an action on it.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::session`].
    pub async fn session_for(&self, id: SessionId, action: Action) -> Result<Arc<Session>, Refused> {
        // While access control is off, everybody may load every session.
        if self.caller.grant == Grant::Anonymous {
            self.check_id(id, action)?;
        } else {
            self.check_stored(id, action).await?;
        }
        match self.hub.session(id).await {
            Ok(session) => self.allows(&session, action).map(|()| session),
            Err(HubError::NotFound) => Err(self.not_found(id, action)),
            Err(error) => Err(error.into()),
        }
    }

    /// That a session may be read, without loading its state.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::session`].
    pub async fn readable(&self, id: SessionId) -> Result<Readable, Refused> {
        self.check_stored(id, Action::ReadSessions).await?;
        Ok(Readable { id })
    }

    /// Whether the caller may do this to a session, without loading its state: what is not the caller's to see is
    /// not loaded either, since the time that it takes would tell of it.
    async fn check_stored(&self, id: SessionId, action: Action) -> Result<(), Refused> {
        self.check_id(id, action)?;
        let Some(SessionOwner { group_id, tags, .. }) = self.owner(id).await? else {
            return Err(self.not_found(id, action));
        };
        Ok(self.caller.allows(action, Some(&Subject { id, group_id, tags: &tags }))?)
    }

    /// The owner of a session of the project. What another project has costs the same query as what does not exist,
    /// whether it is in memory or not, so that the time does not tell the two apart.
    async fn owner(&self, id: SessionId) -> Result<Option<SessionOwner>, StorageError> {
        let is_own = |owner: &SessionOwner| owner.project_id == *self.project();
        let held = self.hub.held(id).map(|session| SessionOwner::of(&session)).filter(is_own);
        if held.is_some() {
            return Ok(held);
        }
        self.storage.owner(id, self.project()).await
    }

    /// Whether the caller may do this to a session in its current state.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::session`].
    pub fn allows(&self, session: &Session, action: Action) -> Result<(), Refused> {
        if session.origin.project_id != *self.project() {
            return Err(self.not_found(session.id, action));
        }
        let subject = Subject { id: session.id, group_id: session.origin.group_id, tags: &session.labels.tags };
        Ok(self.caller.allows(action, Some(&subject))?)
    }

    /// Why a session is not shown that the caller could read before.
    #[must_use]
    pub fn denied(&self, id: SessionId) -> Refused {
        self.not_found(id, Action::ReadSessions)
    }

    /// What has to be asked whenever a session changes that is shown to the caller. `None` for all but those who
    /// read by tags: what else makes a session readable does not change.
    #[must_use]
    pub fn readable_now(&self) -> Option<ReadableNow> {
        if !self.caller.reads_by_tag() {
            return None;
        }
        let scoped = self.clone();
        Some(Arc::new(move |session| scoped.allows(session, Action::ReadSessions).is_ok()))
    }

    /// Roles need no look at the session: whether it exists is not told to those who may not do it anyway.
    pub(super) fn check_id(&self, id: SessionId, action: Action) -> Result<(), Denied> {
        match self.caller.grant {
            Grant::Anonymous => Ok(()),
            Grant::Role(_) => self.caller.allows(action, Some(&Subject::of(id))),
            Grant::Scopes(_) => Ok(()),
        }
    }

    /// Those who have scopes are not told whether a session exists that their scopes do not grant.
    pub(super) fn not_found(&self, id: SessionId, action: Action) -> Refused {
        match self.caller.allows(action, Some(&Subject::of(id))) {
            Ok(()) => HubError::NotFound.into(),
            Err(denied) => denied.into(),
        }
    }

    /// Commands of this caller, which are counted.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`] if one of them is not allowed, [`Refused::Limited`] if they are too many.
    pub fn submission(&self, session_id: SessionId, commands: Vec<Command>) -> Result<Submission, Refused> {
        let number = commands.len();
        let submission = self.follow_up(session_id, commands)?;
        self.access.limits().commands(&self.caller, self.from, number)?;
        Ok(submission)
    }

    /// Commands that belong to a change of this caller that was made already, such as the start of a session that
    /// it has created: they are not counted.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`] if one of them is not allowed.
    pub fn follow_up(&self, session_id: SessionId, mut commands: Vec<Command>) -> Result<Submission, Refused> {
        let subject = Subject::of(session_id);
        // Most callers send one kind of command after the other.
        let mut allowed = None;
        for command in &commands {
            let action = command_action(command);
            if allowed != Some(action) {
                self.caller.allows(action, Some(&subject))?;
                allowed = Some(action);
            }
        }
        if let Some(actor) = &self.caller.actor {
            commands.iter_mut().for_each(|command| sign_review(command, actor));
        }
        let (project_id, by) = (Some(self.project().clone()), self.caller.actor.clone());
        Ok(Submission { project_id, by, span: self.span.clone(), ..Submission::new(session_id, commands) })
    }

    /// The submission of a caller who drives the session under a lease.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`] if the caller may not send the commands of engines.
    pub fn leased(&self, submission: Submission, lease_seconds: Option<u32>) -> Result<Submission, Refused> {
        if lease_seconds.is_some() {
            self.caller.allows(Action::Command, Some(&Subject::of(submission.session_id)))?;
        }
        Ok(Submission { lease_seconds, ..submission })
    }

    /// See [`Hub::execute`](crate::hub::Hub::execute).
    ///
    /// # Errors
    ///
    /// Why the commands were not carried out.
    pub async fn execute(&self, submission: Submission) -> Result<Receipt, HubError> {
        self.hub.execute(submission).await
    }

    /// See [`Hub::submit`](crate::hub::Hub::submit).
    ///
    /// # Errors
    ///
    /// The reason if nothing was staged.
    pub async fn submit(&self, submission: Submission, reply: ReplyTo) -> Result<(), HubError> {
        self.hub.submit(submission, reply).await
    }

    /// Shows chunks of messages to the viewers of a session that is running.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::session`].
    pub fn show_chunk(&self, session: &Session, chunk: Chunk) -> Result<(), Refused> {
        self.allows(session, Action::Chunks)?;
        self.hub.show_chunk(session.id, chunk);
        Ok(())
    }

    /// See [`Hub::check_chunk`](crate::hub::Hub::check_chunk).
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub async fn check_chunk(&self, id: SessionId, chunk: &Chunk) -> Result<(), HubError> {
        self.hub.check_chunk(id, chunk).await
    }

    /// Whether a chunk of this caller is shown to the viewers of a session. One that is not in memory has none
    /// here, and is loaded only if there are other servers.
    pub async fn may_show_chunk(&self, id: SessionId, chunk: &Chunk) -> bool {
        let session = match self.hub.held(id) {
            None if self.hub.has_peers() => self.hub.session(id).await.ok(),
            held => held,
        };
        session.is_some_and(|session| self.allows(&session, Action::Chunks).is_ok())
            && self.check_chunk(id, chunk).await.is_ok()
    }

    fn create_options(&self, key: Option<&str>) -> CreateOptions {
        CreateOptions {
            project_id: self.project().clone(),
            by: self.caller.actor.clone(),
            key: key.map(str::to_owned),
            trace: self.trace.clone(),
            span: self.span.clone(),
        }
    }

    /// Creates a session in the project; see [`Hub::create`](crate::hub::Hub::create). `action` is one of the two
    /// that create sessions.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`], [`Refused::Limited`] if the project has as many live sessions as it may, and those of
    /// the hub.
    pub async fn create(
        &self,
        id: SessionId,
        created: Created,
        key: Option<&str>,
        action: Action,
    ) -> Result<Arc<Session>, Refused> {
        self.check(action)?;
        if let Some(parent) = created.parent_session_id {
            // What the caller may not read it may not add to either.
            self.readable(parent).await.map_err(no_such_parent)?;
        }
        let place = self.live_place(key).await?;
        let (hub, options) = (self.hub.clone(), self.create_options(key));
        self.holding(place, async move { hub.create(id, created, options).await }).await
    }

    /// Forks a session; see [`Hub::fork`](crate::hub::Hub::fork).
    ///
    /// # Errors
    ///
    /// As for [`Scoped::session`] and [`Scoped::create`], and those of the hub.
    pub async fn fork(&self, id: SessionId, revision: Revision, key: Option<&str>) -> Result<Arc<Session>, Refused> {
        self.session_for(id, Action::Fork).await?;
        let place = self.live_place(key).await?;
        let (hub, options) = (self.hub.clone(), self.create_options(key));
        self.holding(place, async move { hub.fork(id, revision, options).await }).await
    }

    /// A place for one more live session of the project, to be held until that is stored. `key`: what is created
    /// under it already needs none. `None`: no place is needed.
    ///
    /// # Errors
    ///
    /// [`Refused::Limited`] if the project has as many as it may.
    pub async fn live_place(&self, key: Option<&str>) -> Result<Option<LiveSessionPermit>, Refused> {
        let Some(places) = self.access.limits().live_sessions() else { return Ok(None) };
        let count = |limit| {
            let (storage, project) = (self.storage.clone(), self.project().clone());
            async move { storage.count_live_sessions(&project, limit).await }
        };
        match places.place(self.project(), count).await {
            Ok(place) => Ok(Some(place)),
            Err(QuotaExceeded::Count(error)) => Err(error.into()),
            Err(QuotaExceeded::Limited(limited)) => match key {
                Some(key) if self.hub.created_under(self.project(), key).await.is_ok() => Ok(None),
                _ => Err(limited.into()),
            },
        }
    }

    /// Holds a place as long as the work goes on, whether or not the client waits for it.
    async fn holding<T: Send + 'static>(
        &self,
        place: Option<LiveSessionPermit>,
        work: impl Future<Output = Result<T, HubError>> + Send + 'static,
    ) -> Result<T, Refused> {
        let held = async move {
            let outcome = work.await;
            drop(place);
            outcome
        };
        Ok(self.hub.run_to_completion(held).await?)
    }

    /// The session that was created in the project under a key.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when it was deleted.
    pub async fn created_under(&self, key: &str) -> Result<Arc<Session>, Refused> {
        Ok(self.hub.created_under(self.project(), key).await?)
    }

    /// Announces a session that was imported.
    pub fn appeared(&self, session: &Session) {
        self.hub.appeared(session.id, session.parent());
    }

    /// See [`Hub::run_to_completion`](crate::hub::Hub::run_to_completion).
    ///
    /// # Errors
    ///
    /// Those of the work.
    pub async fn run_to_completion<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<HubError> + Send + 'static,
    {
        self.hub.run_to_completion(work).await
    }

    /// Deletes a session with everything that belongs to it.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::session`].
    pub async fn delete(&self, id: SessionId) -> Result<(), Refused> {
        let session = self.session_for(id, Action::DeleteSession).await?;
        Ok(self.hub.delete(id, Some(session.identity())).await?)
    }

    /// A page of the sessions that the caller may see.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn summaries(
        &self,
        filter: &SessionFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<SessionSummary>, Refused> {
        Ok(self.storage.summaries(filter, after, limit).await?)
    }

    /// The state of a session at a revision.
    pub async fn session_at(&self, of: Readable, revision: Revision) -> Result<Option<Session>, StorageError> {
        self.storage.session_at(of.id, revision).await
    }

    /// The newest revision that was reached at or before a time.
    pub async fn revision_at(&self, of: Readable, time: Timestamp) -> Result<Option<Revision>, StorageError> {
        self.storage.revision_at(of.id, time).await
    }

    /// The events after a revision.
    pub async fn events(&self, of: Readable, after: Revision, limit: u32) -> Result<Vec<Recorded>, HubError> {
        self.hub.events(of.id, after, limit, Texts::default()).await
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self, of: Readable) -> JournalReader<'_> {
        self.storage.journal(of.id)
    }

    /// The output of a node.
    pub async fn output(&self, of: Readable, place: OutputRef) -> Result<Option<Value>, StorageError> {
        self.storage.output(of.id, place).await
    }

    /// The input of a node.
    pub async fn input(&self, of: Readable, revision: Revision) -> Result<Option<Value>, StorageError> {
        self.storage.input(of.id, revision).await
    }

    /// The usage of a session and of those of its descendants that the caller may see.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn family_usage(&self, of: Readable) -> Result<FamilyUsage, Refused> {
        Ok(self.storage.family_usage(of.id, &self.visible()).await?)
    }

    /// The usage, by node, agent and model.
    pub async fn usage(&self, of: Readable) -> Result<Vec<UsageRow>, StorageError> {
        self.storage.usage(of.id).await
    }

    /// The usage as it was at a revision.
    pub async fn usage_at(&self, of: Readable, revision: Revision) -> Result<Vec<UsageRow>, StorageError> {
        self.storage.usage_at(of.id, revision).await
    }

    /// The messages.
    pub async fn messages(
        &self,
        of: Readable,
        filter: &MessageFilter,
        order: MessageOrder,
        after: Option<MessageCursor>,
        limit: u32,
    ) -> Result<Vec<PlacedMessage>, StorageError> {
        self.storage.messages(of.id, filter, order, after, limit).await
    }

    /// The ids of the last calls of tools up to a revision, in their order.
    pub async fn tool_call_ids(&self, of: Readable, up_to: Revision, limit: u32) -> Result<Vec<String>, StorageError> {
        self.storage.tool_call_ids(of.id, up_to, limit).await
    }

    /// The log lines.
    pub async fn logs(
        &self,
        of: Readable,
        filter: &LogFilter,
        order: MessageOrder,
        after: Option<MessageCursor>,
        limit: u32,
    ) -> Result<LogLines, StorageError> {
        self.storage.logs(of.id, filter, order, after, limit).await
    }

    /// A session to be exported, and where its history is read.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::session`].
    pub async fn exported(&self, id: SessionId) -> Result<(Storage, Arc<Session>), Refused> {
        let session = self.session_for(id, Action::Export).await?;
        Ok((self.storage.clone(), session))
    }

    /// See [`Storage::claim_key`].
    pub async fn claim_key(&self, keyed: KeyedRequest<'_>, made: Uuid) -> Result<KeyClaim, StorageError> {
        self.storage.claim_key(keyed, made).await
    }

    /// See [`Storage::answer_key`].
    pub async fn answer_key(&self, keyed: KeyedRequest<'_>, made: Uuid, answer: &RawValue) -> Result<(), StorageError> {
        self.storage.answer_key(keyed, made, answer).await
    }

    /// See [`Storage::release_key`].
    pub async fn release_key(&self, keyed: KeyedRequest<'_>) -> Result<(), StorageError> {
        self.storage.release_key(keyed).await
    }
}

fn no_such_parent(refused: Refused) -> Refused {
    match refused {
        Refused::Hub(HubError::NotFound) => HubError::from(Constraint::NoSuchParent).into(),
        other => other,
    }
}

/// A review is the caller's, whoever it claims to be of.
fn sign_review(command: &mut Command, actor: &Actor) {
    if let Command::Signal { payload, .. } = command
        && let Some(review) = payload.get_mut("review").and_then(Value::as_object_mut)
    {
        review.insert("reviewer".to_owned(), actor.name.clone().into());
    }
}
