//! The MCP server: its description, its tools, and the token of whoever calls them.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::tools;
use relive_client::{Api, TokenSource};

/// Characters of an answer. More would only fill the context of a model.
const ANSWER_CHARACTERS: usize = 200_000;
const INSTRUCTIONS: &str = "Relive records runs of workflows (sessions) and lets people and programs steer them. \
    A session has nodes, events, messages and usage; its revision counts its events. Find sessions with list_sessions \
    or search, look at one with read_session, and ask explain_failure why one failed before reading more. control_session, \
    review_node and send_signal change a run: what they do is durable and seen by all who watch.";

/// Whose token requests to the server have.
#[derive(Clone, Copy, Debug)]
pub enum Caller {
    /// That of this process.
    Own,
    /// The one in the `Authorization` header of each request.
    OfRequest,
}

#[derive(Clone, Debug)]
pub struct Handler {
    api: Api,
    caller: Caller,
}

impl Handler {
    pub fn new(api: Api, caller: Caller) -> Self {
        Self { api, caller }
    }

    fn api_of(&self, context: &RequestContext<RoleServer>) -> Api {
        match self.caller {
            Caller::Own => self.api.clone(),
            Caller::OfRequest => self.api.clone().with_token(bearer(context).map(TokenSource::fixed)),
        }
    }
}

fn bearer(context: &RequestContext<RoleServer>) -> Option<String> {
    let header = context.extensions.get::<Parts>()?.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("relive", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let api = self.api_of(&context);
        let arguments = request.arguments.unwrap_or_default();
        // What is refused is an answer to the model, which may mend it, and no error of the protocol.
        let result = match tools::call(&api, &request.name, arguments.into()).await {
            Ok(answer) => {
                let text = answer.to_string();
                match text.chars().count() {
                    0..=ANSWER_CHARACTERS => CallToolResult::success(vec![ContentBlock::text(text)]),
                    length => problem(&format!(
                        "the answer has {length} characters, more than {ANSWER_CHARACTERS}: ask for a part, such as one \
                         node with read_node, or fewer with limit"
                    )),
                }
            }
            Err(tools::ToolError::NoSuchTool(name)) => {
                return Err(ErrorData::invalid_params(format!("there is no tool {name}"), None));
            }
            Err(error) => problem(&error.to_string()),
        };
        Ok(result.into())
    }
}

fn problem(text: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
