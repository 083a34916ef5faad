//! The commands as tools of the Model Context Protocol, for assistants: JSON-RPC on a pair of streams.
//!
//! Source of the facts: the protocol's specification (modelcontextprotocol.io); `rmcp` speaks it.
//! **Invariant:** a call runs one command of the table and nothing else. Words come as an array and are not split again, so that
//! there are no pipes, redirections and shell escapes; files that arguments name are neither read nor written. What a dump
//! holds is data: it stands in answers, never in names, descriptions or instructions.

mod answer;
mod lines;
mod opened;
mod paging;
mod server;
mod tools;

pub use opened::Opened;
pub use server::Server;

use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;

/// Serves on standard input and output until the client closes them. A call that takes longer than `limit` is stopped, and answers
/// what it had by then.
///
/// # Errors
/// The streams fail, or the client does not begin as the protocol says.
pub fn serve_stdio(opened: Opened, limit: Option<Duration>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let served = runtime.block_on(serve(opened, limit, (tokio::io::stdin(), tokio::io::stdout())));
    // a thread may still wait for a line that nobody will write
    runtime.shutdown_background();
    served
}

/// Serves on a pair of streams until the client closes them.
///
/// # Errors
/// See [`serve_stdio`].
pub async fn serve(
    opened: Opened,
    limit: Option<Duration>,
    (input, output): (impl AsyncRead + Send + Unpin + 'static, impl AsyncWrite + Send + Unpin + 'static),
) -> io::Result<()> {
    use rmcp::ServiceExt as _;
    let (streams, written) = lines::checked(input, output);
    let served = match Server::new(opened).with_limit(limit).serve(streams).await {
        Ok(running) => running.waiting().await.map(|_| ()).map_err(io::Error::other),
        // nobody came
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(e) => Err(io::Error::other(e)),
    };
    // what was answered is written; both streams of the library are closed
    written.await.map_err(io::Error::other)?.and(served)
}
