//! The commands as tools of the Model Context Protocol, for assistants: JSON-RPC on a pair of streams.
//!
//! Source of the facts: the protocol's specification (modelcontextprotocol.io); `rmcp` speaks it.
//! **Invariant:** a call runs one command of the table and nothing else. Words come as an array and are not split again, so that
//! there are no pipes, redirections and shell escapes; files that arguments name are neither read nor written. What a dump
//! holds is data: it stands in answers, never in names, descriptions or instructions.

mod answer;
mod opened;
mod paging;
mod server;
mod tools;

pub use opened::Opened;
pub use server::Server;

use std::io;
use tokio::runtime::Builder;

/// Serves on standard input and output until the client closes them.
///
/// # Errors
/// The streams fail, or the client does not begin as the protocol says.
pub fn serve_stdio(opened: Opened) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let served = runtime.block_on(serve(opened, (tokio::io::stdin(), tokio::io::stdout())));
    // a thread may still wait for a line that nobody will write
    runtime.shutdown_background();
    served
}

async fn serve(opened: Opened, streams: (tokio::io::Stdin, tokio::io::Stdout)) -> io::Result<()> {
    use rmcp::ServiceExt as _;
    let running = match Server::new(opened).serve(streams).await {
        Ok(running) => running,
        // nobody came
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(e) => return Err(io::Error::other(e)),
    };
    running.waiting().await.map(|_| ()).map_err(io::Error::other)
}
