//! The server: hands calls to the thread that asks the dump, one at a time, and stops what a client cancels.

use crate::answer::{self, Answer, Form, Question};
use crate::opened::Opened;
use crate::tools::{self, INSTRUCTIONS, OPEN};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CustomRequest, CustomResult, ErrorCode,
    ErrorData, Implementation, InitializeResult, JsonObject, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a call that was stopped may take to hand over what it has.
const GRACE: Duration = Duration::from_secs(5);

/// The protocol's requests that are answered.
const METHODS: &[&str] = &["initialize", "ping", "tools/list", "tools/call"];

/// A server of one dump.
#[derive(Clone, Debug)]
pub struct Server {
    state: Arc<Mutex<State>>,
    /// Who holds it asks; the others wait without a thread.
    turn: Arc<tokio::sync::Mutex<()>>,
    is_fixed: bool,
    /// How long a call may take.
    limit: Option<Duration>,
}

#[derive(Debug)]
struct State {
    opened: Opened,
    /// The last answer: its further pages are asked for next.
    last: Option<Arc<Answer>>,
}

/// A call, read.
enum Call {
    Open(Vec<String>),
    Ask(Question, usize, Form),
}

impl Server {
    /// Over a dump, or over those that the client opens.
    #[must_use]
    pub fn new(opened: Opened) -> Self {
        let is_fixed = opened.is_fixed();
        let state = State { opened, last: None };
        Self { state: Arc::new(Mutex::new(state)), turn: Arc::default(), is_fixed, limit: None }
    }

    /// A call that takes longer is stopped, and answers what it had by then.
    #[must_use]
    pub const fn with_limit(mut self, limit: Option<Duration>) -> Self {
        self.limit = limit;
        self
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call; blocks.
    fn answer(&self, call: Call) -> CallToolResult {
        let (question, page, form) = match call {
            Call::Ask(question, page, form) => (question, page, form),
            Call::Open(files) => {
                let question = Question { command: OPEN.to_owned(), arguments: files.clone() };
                let mut state = self.state();
                state.last = None;
                if let Err(why) = state.opened.open(files) {
                    return answer::refused(&question, &why);
                }
                (Question { command: "info".to_owned(), arguments: Vec::new() }, 1, Form::Both)
            }
        };
        let (layers, cancel, last) = {
            let state = self.state();
            (state.opened.layers(), state.opened.cancel().clone(), state.last.clone())
        };
        if let Some(known) = last.filter(|last| page > 1 && last.is_to(&question)) {
            return known.page(page, form);
        }
        match answer::ask(layers.as_deref(), &cancel, question.clone()) {
            Ok(answer) => {
                let answer = Arc::new(answer);
                self.state().last = Some(answer.clone());
                answer.page(page, form)
            }
            Err(e) => answer::refused(&question, &e.to_string()),
        }
    }

    /// Answers a call in its turn, until `stopped` comes.
    ///
    /// A call stops nothing but itself: the switch is turned off while its turn is held and before its work begins, and turned on
    /// at most while the turn is still held, which the work hands back with its answer.
    async fn call(&self, call: Call, stopped: impl Future<Output = ()>) -> CallToolResult {
        tokio::pin!(stopped);
        let cancelled = || CallToolResult::error(vec![rmcp::model::ContentBlock::text("interrupted")]);
        let turn = tokio::select! {
            biased;
            () = &mut stopped => return cancelled(),
            turn = self.turn.clone().lock_owned() => turn,
        };
        let cancel = self.state().opened.cancel().clone();
        cancel.reset();
        let server = self.clone();
        // the next call waits until this one has ended, also where nobody waits for it any more
        let mut work = tokio::task::spawn_blocking(move || (server.answer(call), turn));
        tokio::select! {
            biased;
            done = &mut work => done.map_or_else(|_| cancelled(), |(answer, _turn)| answer),
            () = &mut stopped => {
                cancel.cancel();
                cancelled()
            }
            limit = passed(self.limit) => {
                cancel.cancel();
                match tokio::time::timeout(GRACE, work).await {
                    Ok(done) => done.map_or_else(|_| too_long(limit), |(answer, _turn)| late(answer, limit)),
                    Err(_) => too_long(limit),
                }
            }
        }
    }

    fn read(&self, request: CallToolRequestParams) -> Result<Call, ErrorData> {
        let mut given = Given(request.arguments.unwrap_or_default());
        if request.name == OPEN && !self.is_fixed {
            let files = given.words("files")?;
            given.end()?;
            return if files.is_empty() { Err(wrong("files: none is named")) } else { Ok(Call::Open(files)) };
        }
        let command = tools::commands().find(|command| command.name() == request.name);
        let command = command.ok_or_else(|| wrong(&format!("{}: there is no such tool", request.name)))?;
        let question = Question { command: command.name().to_owned(), arguments: given.words("arguments")? };
        let (page, form) = (given.page()?, given.form()?);
        given.end()?;
        Ok(Call::Ask(question, page, form))
    }
}

/// Waits until the limit of a call is reached, for ever where there is none.
async fn passed(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// What a call answers that had not ended when its limit was reached.
fn too_long(limit: Duration) -> CallToolResult {
    let why = format!("the call took longer than {limit:?}, and was stopped; ask for less");
    CallToolResult::error(vec![rmcp::model::ContentBlock::text(why)])
}

/// The answer of a call that was stopped by its limit: what it had by then, else why there is nothing.
fn late(answer: CallToolResult, limit: Duration) -> CallToolResult {
    if answer.is_error == Some(true) { too_long(limit) } else { answer }
}

/// The arguments of a call that were not read yet.
struct Given(JsonObject);

impl Given {
    fn words(&mut self, key: &str) -> Result<Vec<String>, ErrorData> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(words)) => words
                .into_iter()
                .map(|word| match word {
                    Value::String(word) => Ok(word),
                    other => Err(wrong(&format!("{key}: {other} is not a string"))),
                })
                .collect(),
            Some(other) => Err(wrong(&format!("{key}: {other} is no array of strings"))),
        }
    }
    fn page(&mut self) -> Result<usize, ErrorData> {
        let given = self.0.remove("page").filter(|page| !page.is_null());
        let Some(given) = given else { return Ok(1) };
        let number = given.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        number.ok_or_else(|| wrong(&format!("page: {given} is no number from 1 on")))
    }
    fn form(&mut self) -> Result<Form, ErrorData> {
        let given = self.0.remove("format").filter(|form| !form.is_null());
        match given.as_ref().map(|form| form.as_str().unwrap_or_default()) {
            None | Some("both") => Ok(Form::Both),
            Some("text") => Ok(Form::Text),
            Some("data") => Ok(Form::Data),
            Some(other) => Err(wrong(&format!("format: {other:?} is neither both, text nor data"))),
        }
    }
    /// What is left was not asked for.
    fn end(self) -> Result<(), ErrorData> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(wrong(&format!("{key}: the tool takes no such argument"))),
        }
    }
}

fn wrong(why: &str) -> ErrorData {
    ErrorData::invalid_params(render::Clean::of(why).as_str().to_owned(), None)
}

impl ServerHandler for Server {
    fn get_info(&self) -> InitializeResult {
        let mut own = Implementation::default();
        own.name = "crashlens".to_owned();
        own.version = env!("CARGO_PKG_VERSION").to_owned();
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(own)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all(!self.is_fixed)))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = self.read(request)?;
        Ok(self.call(call, context.ct.cancelled()).await.into())
    }

    /// The library takes a request whose parameters it cannot read for one that it does not know.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = render::Clean::of(request.method.as_str()).as_str().to_owned();
        Err(match METHODS.contains(&request.method.as_str()) {
            true => wrong(&format!("{method}: its parameters are not those of the protocol")),
            false => ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                format!("{method}: there is no such method"),
                None,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::OpenOptions;

    /// What a call of a command that takes long answers, stopped by `stopped`.
    async fn long(server: &Server, stopped: impl Future<Output = ()>) -> String {
        let arguments = ["--count", "1000000000", "btop", "1000"].map(str::to_owned).to_vec();
        let question = Question { command: "repeat".to_owned(), arguments };
        let answer = server.call(Call::Ask(question, 1, Form::Text), stopped).await;
        format!("{answer:?}")
    }

    async fn short(server: &Server) -> String {
        let question = Question { command: "eval".to_owned(), arguments: vec!["6 * 7".to_owned()] };
        format!("{:?}", server.call(Call::Ask(question, 1, Form::Text), std::future::pending()).await)
    }

    /// A cancel that comes before the work has begun stops it, and the next call is not stopped by it.
    #[test]
    fn a_cancel_stops_its_call_and_no_other() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::new(Opened::by_client(OpenOptions::default()));
            for _ in 0..50 {
                // it comes as soon as it is looked for: before the thread has begun, or just then
                assert!(long(&server, tokio::task::yield_now()).await.contains("interrupted"));
                let answer = tokio::time::timeout(std::time::Duration::from_secs(20), short(&server)).await;
                let answer = answer.expect("the work that nobody waits for goes on");
                assert!(answer.contains("42"), "{answer}");
            }
        });
    }
}
