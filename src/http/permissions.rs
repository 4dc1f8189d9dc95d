//! What each operation needs: the table from which requests are refused, and `docs/access.md` is written.
//!
//! An operation that is not in it is refused to everybody, and a test fails. What depends on the content of a
//! request (which commands it has), or on the session it concerns, is decided by [`Scoped`](crate::scoped::Scoped).

use std::collections::HashMap;
use std::sync::Arc;

use utoipa::openapi::OpenApi;

use super::parameters::operations;
use crate::access::{Action, Caller, Denied, Grant};

/// Who may use an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Everybody, without a credential too.
    Nothing,
    /// Any valid credential.
    Caller,
    /// Whoever may do any of these; which, the content of the request decides.
    Any(&'static [Action]),
}

/// An operation by its `operationId`.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    pub id: &'static str,
    pub need: Need,
    /// Whether it is recorded in the audit log when it was carried out; refusals always are. The commands of
    /// engines are not: the journal says who sent them.
    pub is_audited: bool,
}

const fn open(id: &'static str) -> Operation {
    Operation { id, need: Need::Nothing, is_audited: false }
}

const fn read(id: &'static str, actions: &'static [Action]) -> Operation {
    Operation { id, need: Need::Any(actions), is_audited: false }
}

const fn change(id: &'static str, actions: &'static [Action]) -> Operation {
    Operation { id, need: Need::Any(actions), is_audited: true }
}

use Action::{
    Chunks, Command, Control, CreateFromWorkflow, CreateSession, DeleteSession, Export, Fork, Import, IssueTokens,
    Label, ListSessions, ManageAlerts, ManageKeys, ManageProjects, ManageRetention, ManageSchedules, ManageWebhooks,
    ReadAudit, ReadCatalog, ReadMetrics, ReadProject, ReadSessions, Review, SearchMemories, Signal, WriteCatalog,
    WriteMemory,
};

/// Every operation of the OpenAPI document.
pub const OPERATIONS: &[Operation] = &[
    read("list_sessions", &[ListSessions]),
    read("count_sessions", &[ListSessions]),
    change("create_session", &[CreateFromWorkflow, CreateSession]),
    read("get_session", &[ReadSessions]),
    change("delete_session", &[DeleteSession]),
    change("delete_sessions", &[DeleteSession]),
    read("get_retention", &[ManageRetention]),
    change("replace_retention", &[ManageRetention]),
    read("read_statistics", &[ReadSessions]),
    read("graph", &[ReadSessions]),
    read("entity", &[ReadSessions]),
    read("events", &[ReadSessions]),
    read("node", &[ReadSessions]),
    read("diff", &[ReadSessions]),
    read("timeline", &[ReadSessions]),
    read("list_messages", &[ReadSessions]),
    read("list_logs", &[ReadSessions]),
    read("list_session_memories", &[ReadSessions]),
    read("report", &[ReadSessions]),
    read("export_session", &[Export]),
    change("import_session", &[Import]),
    read("list_archive", &[ListSessions]),
    change("archive_sessions", &[ManageRetention]),
    read("get_archived", &[ReadSessions]),
    change("delete_archived", &[DeleteSession]),
    read("export_archived", &[Export]),
    change("restore_archived", &[Import]),
    change("fork_session", &[Fork]),
    read("commands", &[Signal, Control, Label, Command]),
    read("renew_lease", &[Command]),
    change("control", &[Control, Command]),
    read("update_node", &[Command]),
    change("signal", &[Signal]),
    change("review", &[Review]),
    read("show_tokens", &[Chunks]),
    read("export_traces", &[Command]),
    read("create_memory", &[WriteMemory]),
    read("list_memories", &[SearchMemories]),
    read("get_memory", &[SearchMemories]),
    change("delete_memory", &[DeleteSession]),
    read("search_memories", &[SearchMemories, ReadSessions]),
    read("list_groups", &[ReadCatalog]),
    change("create_group", &[WriteCatalog]),
    read("get_group", &[ReadCatalog]),
    change("replace_group", &[WriteCatalog]),
    change("delete_group", &[WriteCatalog]),
    read("list_agents", &[ReadCatalog]),
    change("create_agent", &[WriteCatalog]),
    read("get_agent", &[ReadCatalog]),
    change("replace_agent", &[WriteCatalog]),
    change("delete_agent", &[WriteCatalog]),
    read("list_workflows", &[ReadCatalog]),
    change("create_workflow", &[WriteCatalog]),
    read("validate_workflow", &[WriteCatalog]),
    read("get_workflow", &[ReadCatalog]),
    change("replace_workflow", &[WriteCatalog]),
    change("delete_workflow", &[WriteCatalog]),
    read("list_projects", &[ManageProjects]),
    change("create_project", &[ManageProjects]),
    read("get_project", &[ReadProject]),
    change("replace_project", &[ManageProjects]),
    change("delete_project", &[ManageProjects]),
    read("list_keys", &[ManageKeys]),
    change("create_key", &[ManageKeys]),
    change("revoke_key", &[ManageKeys]),
    change("create_token", &[IssueTokens]),
    change("revoke_token", &[ManageKeys]),
    read("read_audit", &[ReadAudit]),
    read("list_webhooks", &[ManageWebhooks]),
    change("create_webhook", &[ManageWebhooks]),
    read("get_webhook", &[ManageWebhooks]),
    change("replace_webhook", &[ManageWebhooks]),
    change("delete_webhook", &[ManageWebhooks]),
    change("rotate_webhook_secret", &[ManageWebhooks]),
    read("list_deliveries", &[ManageWebhooks]),
    change("retry_delivery", &[ManageWebhooks]),
    change("test_webhook", &[ManageWebhooks]),
    read("list_schedules", &[ManageSchedules]),
    change("create_schedule", &[ManageSchedules]),
    read("get_schedule", &[ManageSchedules]),
    change("replace_schedule", &[ManageSchedules]),
    change("delete_schedule", &[ManageSchedules]),
    read("list_alerts", &[ManageAlerts]),
    change("create_alert", &[ManageAlerts]),
    read("get_alert", &[ManageAlerts]),
    change("change_alert", &[ManageAlerts]),
    change("delete_alert", &[ManageAlerts]),
    read("list_alert_events", &[ManageAlerts]),
    Operation { id: "who_am_i", need: Need::Caller, is_audited: false },
    Operation { id: "sign_in", need: Need::Caller, is_audited: true },
    Operation { id: "sign_out", need: Need::Nothing, is_audited: true },
    open("sign_in_options"),
    open("begin_sign_in"),
    open("finish_sign_in"),
    Operation { id: "watch_many", need: Need::Caller, is_audited: false },
    read("watch_session", &[ReadSessions]),
    read("replay_session", &[ReadSessions]),
    read("watch_list", &[ListSessions]),
    read("stream_session", &[ReadSessions]),
    read("stream_list", &[ListSessions]),
    read("ag_ui_session", &[ReadSessions]),
    change("ag_ui_run", &[CreateFromWorkflow, Signal]),
    open("healthz"),
    open("readyz"),
    read("metrics", &[ReadMetrics]),
    open("openapi"),
    open("asyncapi"),
    open("dashboard"),
    open("dashboard_session"),
    open("dashboard_asset"),
    open("dashboard_embedded"),
    open("dashboard_script"),
];

impl Need {
    /// Whether a caller may use the operation at all. Those who have scopes may if one of them can grant it for
    /// some session.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn check(self, caller: &Caller) -> Result<(), Denied> {
        let Self::Any(actions) = self else { return Ok(()) };
        let mut missing = Vec::new();
        for action in actions {
            let outcome = match &caller.grant {
                Grant::Scopes(_) if action.is_of_a_session() => Ok(()),
                _ => caller.allows(*action, None),
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(denied) => missing.push(denied),
            }
        }
        Denied::any_of(missing).map_or(Ok(()), Err)
    }
}

/// The operations by path and method.
#[derive(Clone, Debug)]
pub struct Permissions(Arc<HashMap<(String, &'static str), Operation>>);

impl Permissions {
    /// Operations that the table does not have are left out: nobody may use them.
    pub fn of(document: &OpenApi) -> Self {
        let mut found = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in operations(item) {
                let id = operation.operation_id.as_deref();
                if let Some(operation) = OPERATIONS.iter().find(|operation| Some(operation.id) == id) {
                    found.insert((path.clone(), method), *operation);
                }
            }
        }
        Self(Arc::new(found))
    }

    pub fn find(&self, path: &str, method: &'static str) -> Option<Operation> {
        self.0.get(&(path.to_owned(), method)).copied()
    }
}
