//! A dump on a server, read by range: `http://`, `https://`, `s3://BUCKET/KEY`.
//!
//! Bytes come in blocks, which are kept as long as there is room. A block behind one that was fetched is fetched with as many
//! more as were fetched before, and twice that: what is read in one go costs few requests, what is read here and there few bytes.
//! `object_store` speaks with the servers; those of S3 are told in the environment (`AWS_…`), as its other programs take them.
//!
//! **Invariants:** what a server sends is as long as it said, and of the object that was opened (its ETag); a stop is heard
//! within a moment; no more than [`KEPT`] bytes are kept.

use crashlens::{Cancel, ReadAt};
use object_store::aws::AmazonS3Builder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, GetRange, ObjectStore, RetryConfig};
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// Bytes that are kept of one object.
const KEPT: u64 = 256 << 20;
/// The longest request.
const LONGEST: u64 = 4 << 20;
/// How long a connection may take, and a request.
const REACH: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(60);
/// How often a request that failed is made again, and how long that may take.
const TRIES: usize = 3;
const TRY: Duration = Duration::from_secs(60);
/// How often a stop is looked for.
const TICK: Duration = Duration::from_millis(50);

/// The URL that a file's name is; `None` for a path.
pub(crate) fn url(name: &std::path::Path) -> Option<&str> {
    let name = name.to_str()?;
    ["http://", "https://", "s3://"].iter().any(|scheme| name.starts_with(scheme)).then_some(name)
}

/// An object, and what was read of it.
pub(crate) struct Remote(Arc<Inner>);

/// How much was asked of a server.
#[derive(Clone)]
pub(crate) struct Transfers(Arc<Inner>);

impl Transfers {
    /// The object's length.
    pub(crate) fn len(&self) -> u64 {
        self.0.len
    }
    /// Requests and bytes so far.
    pub(crate) fn so_far(&self) -> (u64, u64) {
        (self.0.requests.load(Ordering::Relaxed), self.0.bytes.load(Ordering::Relaxed))
    }
}

struct Inner {
    store: Box<dyn ObjectStore>,
    path: Path,
    etag: Option<String>,
    len: u64,
    block: u64,
    runtime: Runtime,
    /// What of its URL is not told.
    secret: Option<String>,
    cancel: Cancel,
    blocks: Mutex<Blocks>,
    /// A block came, or will not come.
    came: Condvar,
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// The blocks that are there, by their numbers.
#[derive(Default)]
struct Blocks {
    all: HashMap<u64, Block>,
    clock: u64,
}

enum Block {
    /// A thread waits for it.
    Asked,
    There {
        bytes: Arc<[u8]>,
        /// How many blocks its request brought.
        run: u64,
        used: u64,
    },
}

fn failed(why: impl ToString) -> io::Error {
    io::Error::other(why.to_string())
}

/// The name of an object without what only its server is to see.
pub(crate) fn shown(name: &str) -> PathBuf {
    let Ok(mut url) = Url::parse(name) else { return PathBuf::from(name) };
    // what is none has neither
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    PathBuf::from(url.as_str())
}

impl Remote {
    /// Asks for the beginning of an object, which tells its length.
    pub(crate) fn open(name: &str, cancel: &Cancel) -> io::Result<Self> {
        let url = Url::parse(name).map_err(failed)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(failed(
                "a URL with ? or # is not read by range (a presigned one, say): name the object itself, s3://BUCKET/KEY",
            ));
        }
        let store = store(&url)?;
        let path = Path::from_url_path(url.path()).map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut inner = Inner {
            store,
            path,
            etag: None,
            len: LONGEST,
            block: SMALL,
            runtime,
            secret: url.authority().rsplit_once('@').map(|(secret, _)| format!("{secret}@")),
            cancel: cancel.clone(),
            blocks: Mutex::default(),
            came: Condvar::new(),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        let (bytes, about) = inner.request(0..SMALL)?;
        (inner.len, inner.etag) = (about.size, about.e_tag);
        inner.block = block_of(inner.len);
        if inner.block == SMALL || inner.len <= SMALL {
            let first = Block::There { bytes: bytes.into(), run: 1, used: 0 };
            inner.lock().all.insert(0, first);
        }
        Ok(Self(Arc::new(inner)))
    }

    pub(crate) fn transfers(&self) -> Transfers {
        Transfers(Arc::clone(&self.0))
    }
}

/// The smallest block.
const SMALL: u64 = 256 << 10;

/// A long dump is read in more places, each of them costs a request: larger blocks make these fewer.
const fn block_of(len: u64) -> u64 {
    match len {
        0..0x1000_0000 => SMALL,
        _ => 4 * SMALL,
    }
}

fn store(url: &Url) -> io::Result<Box<dyn ObjectStore>> {
    // ureq has the same; one that is there already is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig { max_retries: TRIES, retry_timeout: TRY, ..RetryConfig::default() };
    if url.scheme() == "s3" {
        let built = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry).build();
        return built.map(|store| Box::new(store) as Box<dyn ObjectStore>).map_err(failed);
    }
    let client = ClientOptions::new()
        .with_allow_http(url.scheme() == "http")
        .with_connect_timeout(REACH)
        .with_timeout(ANSWER);
    let mut base = url.clone();
    base.set_path("");
    let built =
        HttpBuilder::new().with_url(base.as_str()).with_client_options(client).with_retry(retry).build();
    built.map(|store| Box::new(store) as Box<dyn ObjectStore>).map_err(failed)
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error of the server's, without the password that its URL may have.
    fn failed(&self, e: &object_store::Error) -> io::Error {
        let text = e.to_string();
        failed(self.secret.as_ref().map_or(text.clone(), |secret| text.replace(secret, "")))
    }

    /// Asks for a range of the object, which ends where the object ends.
    fn request(&self, range: Range<u64>) -> io::Result<(Vec<u8>, object_store::ObjectMeta)> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match: self.etag.clone(),
            ..GetOptions::default()
        };
        let ask = async {
            let answer = self.store.get_opts(&self.path, options).await?;
            let (about, told) = (answer.meta.clone(), answer.range.clone());
            Ok::<_, object_store::Error>((answer.bytes().await?, about, told))
        };
        let (bytes, about, told) = self.runtime.block_on(async {
            tokio::pin!(ask);
            loop {
                tokio::select! {
                    answer = &mut ask => break answer.map_err(|e| self.failed(&e)),
                    () = tokio::time::sleep(TICK) => if self.cancel.is_cancelled() {
                        break Err(failed("interrupted"));
                    }
                }
            }
        })?;
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let wanted = range.start..range.end.min(about.size);
        if told != wanted || bytes.len() as u64 != wanted.end.saturating_sub(wanted.start) {
            return Err(failed(format!(
                "the server sent {} bytes of {}-{} where {}-{} were asked for",
                bytes.len(),
                told.start,
                told.end,
                wanted.start,
                wanted.end
            )));
        }
        // before it is opened no length is known
        let is_same = self.etag.is_none() || about.e_tag == self.etag;
        if !is_same || self.len != LONGEST && about.size != self.len {
            return Err(failed("the file on the server was changed while it was read; open it again"));
        }
        Ok((bytes.to_vec(), about))
    }

    /// A block, from what is kept or from the server. `last` is the last one that the same read wants.
    fn block(&self, number: u64, last: u64) -> io::Result<Arc<[u8]>> {
        let mut blocks = self.lock();
        loop {
            blocks.clock = blocks.clock.saturating_add(1);
            let now = blocks.clock;
            match blocks.all.get_mut(&number) {
                Some(Block::There { bytes, used, .. }) => {
                    *used = now;
                    return Ok(Arc::clone(bytes));
                }
                Some(Block::Asked) => {
                    if self.cancel.is_cancelled() {
                        return Err(failed("interrupted"));
                    }
                    let waited = self.came.wait_timeout(blocks, TICK);
                    blocks = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => break,
            }
        }
        let run = blocks.run(number, last, self.len.div_ceil(self.block), LONGEST / self.block);
        run.clone().for_each(|block| drop(blocks.all.insert(block, Block::Asked)));
        drop(blocks);
        let came = self
            .request(run.start.saturating_mul(self.block)..run.end.saturating_mul(self.block).min(self.len));
        let mut blocks = self.lock();
        run.clone().for_each(|block| drop(blocks.all.remove(&block)));
        self.came.notify_all();
        let (bytes, _) = came?;
        let (count, now) = (run.end.saturating_sub(run.start), blocks.clock);
        let size = usize::try_from(self.block).unwrap_or(usize::MAX);
        for (block, bytes) in run.clone().zip(bytes.chunks(size)) {
            blocks.all.insert(block, Block::There { bytes: bytes.into(), run: count, used: now });
        }
        blocks.trim(KEPT / self.block);
        let first = bytes.get(..size.min(bytes.len())).unwrap_or_default();
        Ok(first.into())
    }
}

impl Blocks {
    /// The blocks that one request brings: those that are wanted, and more where the one before was fetched.
    fn run(&self, number: u64, last: u64, end: u64, most: u64) -> Range<u64> {
        let before = number.checked_sub(1).and_then(|before| match self.all.get(&before) {
            Some(Block::There { run, .. }) => Some(run.saturating_mul(2)),
            _ => None,
        });
        let wanted = last.saturating_sub(number).saturating_add(1);
        let count = before.unwrap_or(1).max(wanted).clamp(1, most.max(1));
        let stop = number.saturating_add(count).min(end);
        let free = (number..stop).find(|block| self.all.contains_key(block)).unwrap_or(stop);
        number..free
    }

    /// Drops those that were used longest ago.
    fn trim(&mut self, most: u64) {
        let mut there: Vec<(u64, u64)> = self
            .all
            .iter()
            .filter_map(|(number, block)| match block {
                Block::There { used, .. } => Some((*used, *number)),
                Block::Asked => None,
            })
            .collect();
        let over = (there.len() as u64).saturating_sub(most);
        if over == 0 {
            return;
        }
        there.sort_unstable();
        for (_, number) in there.into_iter().take(usize::try_from(over).unwrap_or(usize::MAX)) {
            self.all.remove(&number);
        }
    }
}

impl ReadAt for Remote {
    fn len(&self) -> u64 {
        self.0.len
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let size = self.0.block;
        let end = offset.saturating_add(buf.len() as u64).min(self.0.len);
        let mut at = offset;
        let mut rest = buf;
        while at < end {
            let (number, last) = (at / size, (end - 1) / size);
            let block = self.0.block(number, last)?;
            let from = usize::try_from(at % size).unwrap_or(usize::MAX);
            let part = block.get(from..).unwrap_or_default();
            let count = part.len().min(rest.len());
            let (to, more) = std::mem::take(&mut rest).split_at_mut(count);
            let Some(part) = part.get(..count).filter(|part| !part.is_empty()) else { break };
            to.copy_from_slice(part);
            rest = more;
            at = at.saturating_add(count as u64);
        }
        Ok(usize::try_from(at.saturating_sub(offset)).unwrap_or(0))
    }
    fn is_stable(&self) -> bool {
        true
    }
}
