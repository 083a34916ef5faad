//! A client of debuginfod servers: debug files, executables and source files by build id.
//!
//! Source of the facts: debuginfod(8), debuginfod-client-config(7). Servers are those of `DEBUGINFOD_URLS`; where it is
//! empty nothing is ever asked. The cache is the one that all clients share:
//! `BUILD-ID/debuginfo`, `BUILD-ID/source-HASH-NAME`; an empty file says that no server had it, for as many
//! seconds as the file `cache_miss_s` tells.
//!
//! Invariants: what comes is written under another name, and gets its own when it is whole and of the build
//! that was asked for; a stop is heard within a moment, whatever the server does, and nothing is asked after it; a
//! server that did not answer is not asked again in this session; silence is waited for as long as
//! `DEBUGINFOD_TIMEOUT` says in all, however many files and servers there are.

mod names;
mod unreachable;

use super::{Watch, cache, hex};
use crate::elf::ObjectFile;
use crate::find::pack::Pack;
use names::{escaped, header, percent, urls};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Bytes that have to come within `DEBUGINFOD_TIMEOUT`.
const LEAST: u64 = 100 << 10;
/// How often a stop is looked for.
const TICK: Duration = Duration::from_millis(50);
/// Seconds for which "no server has it" is believed.
const MISS: u64 = 600;
/// How long a name and a connection may take.
const REACH: Duration = Duration::from_secs(10);
/// The largest file that is taken where `DEBUGINFOD_MAXSIZE` names none: what a server sends is not enough to fill a disk by.
const MAX_SIZE: u64 = 8 << 30;
/// Redirections that are followed.
const MAX_REDIRECTS: u32 = 10;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Artifact {
    /// The file with the debug information.
    DebugInfo,
    /// The file that ran.
    Executable,
    /// A source file, by its absolute path in the debug information.
    Source(String),
    /// The file with the debug information, where a mirror of `/usr/lib/debug` has it: `.build-id/ab/cdef.debug`.
    OfTree,
    /// A pack of the kernel of that build: `BUILD-ID.clpack`.
    Pack,
}

impl Artifact {
    /// Where servers have it.
    fn on_server(&self, build_id: &[u8]) -> String {
        let id = hex(build_id);
        match self {
            Self::DebugInfo => format!("buildid/{id}/debuginfo"),
            Self::Executable => format!("buildid/{id}/executable"),
            Self::Source(path) => format!("buildid/{id}/source{}", percent(path)),
            Self::OfTree => {
                let (first, rest) = id.split_at_checked(2).unwrap_or(("", ""));
                format!(".build-id/{first}/{rest}.debug")
            }
            Self::Pack => format!("{id}.{}", crate::find::pack::EXTENSION),
        }
    }
}

/// Why there is no file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// All servers said so, now or a short time ago.
    #[error("no server has it")]
    NotThere,
    /// A server gave something else, or nothing.
    #[error("{url}: {why}")]
    Failed {
        /// Which.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// More than `DEBUGINFOD_MAXSIZE`.
    #[error("{url}: {size} bytes, more than DEBUGINFOD_MAXSIZE allows")]
    TooBig {
        /// Which.
        url: String,
        /// How large it says to be.
        size: u64,
    },
    /// The cache cannot be written.
    #[error("{path}: {why}")]
    Cache {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// Stopped on request.
    #[error("interrupted")]
    Cancelled,
    /// The running work gains nothing by it ([`Debuginfod::allow`]).
    #[error("not asked: what was asked of the dump gains nothing by debug files")]
    NotWanted,
}

/// The servers, and how they are asked.
#[derive(Clone, Debug)]
pub struct Debuginfod {
    /// URLs without a final `/`.
    pub urls: Vec<String>,
    /// The cache.
    pub cache: PathBuf,
    /// In this time 100 KiB have to come (`DEBUGINFOD_TIMEOUT`).
    pub timeout: Duration,
    /// The whole time that a file may take (`DEBUGINFOD_MAXTIME`).
    pub max_time: Option<Duration>,
    /// The largest file that is wanted (`DEBUGINFOD_MAXSIZE`).
    pub max_size: Option<u64>,
    /// How often a broken transfer is begun again (`DEBUGINFOD_RETRY_LIMIT`).
    pub retries: u32,
    /// Lines to send with each request (`DEBUGINFOD_HEADERS_FILE`).
    pub headers: Vec<(String, String)>,
    /// Named for one question: what it lacks now it may have when it is asked again.
    is_mirror: bool,
    /// What was seen of the servers.
    seen: Arc<Seen>,
}

/// What a session has seen of its servers; clones of a client share it.
#[derive(Debug, Default)]
struct Seen {
    /// Servers that did not answer.
    down: Mutex<Vec<String>>,
    /// How long was waited for servers that stayed silent, all files together.
    silence: Mutex<Duration>,
    /// The user stopped a transfer: none is begun any more.
    stopped: AtomicBool,
    /// Nothing is asked at present.
    closed: AtomicBool,
    /// How often something would have been asked meanwhile.
    unasked: AtomicU64,
    /// Servers that failed, each once, and why; and how many of them the user was told of.
    failed: Mutex<(Vec<(String, String)>, usize)>,
}

/// The folders where clients keep what they fetched; new files go to the first.
pub(super) fn cache_dirs() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = set("HOME");
    let old = home.as_ref().map(|h| h.join(".debuginfod_client_cache")).filter(|p| p.is_dir());
    let xdg =
        set("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache"))).map(|c| c.join("debuginfod_client"));
    [set("DEBUGINFOD_CACHE_PATH"), old, xdg].into_iter().flatten().collect()
}

impl Debuginfod {
    /// As the environment says; `None` where `DEBUGINFOD_URLS` is empty.
    #[must_use]
    pub fn from_env() -> Option<Self> {
        let urls = urls(&std::env::var("DEBUGINFOD_URLS").ok().filter(|v| !v.is_empty())?);
        Some(Self::limits(Self::new(urls, cache_dirs().into_iter().next()?)?))
    }

    /// With the limits of the environment.
    fn limits(mut out: Self) -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let number = |name: &str| text(name).and_then(|v| v.parse::<u64>().ok());
        out.timeout = Duration::from_secs(number("DEBUGINFOD_TIMEOUT").unwrap_or(90));
        out.max_time = number("DEBUGINFOD_MAXTIME").filter(|n| *n != 0).map(Duration::from_secs);
        out.max_size = number("DEBUGINFOD_MAXSIZE").filter(|n| *n != 0).or(Some(MAX_SIZE));
        out.retries = number("DEBUGINFOD_RETRY_LIMIT").and_then(|n| u32::try_from(n).ok()).unwrap_or(2);
        let lines = text("DEBUGINFOD_HEADERS_FILE").and_then(|path| fs::read_to_string(path).ok());
        out.headers = lines.iter().flat_map(|t| t.lines()).filter_map(header).collect();
        out
    }

    /// These servers, with the usual limits; `None` where there is none.
    #[must_use]
    pub fn new(urls: Vec<String>, cache: PathBuf) -> Option<Self> {
        (!urls.is_empty()).then(|| Self {
            urls,
            cache,
            timeout: Duration::from_secs(90),
            max_time: None,
            max_size: Some(MAX_SIZE),
            retries: 2,
            headers: Vec::new(),
            is_mirror: false,
            seen: Arc::default(),
        })
    }

    /// One server that the user names for one question: a debuginfod, or files of a folder by HTTP. What it has goes into the
    /// cache of what was unpacked; its limits are those of the environment.
    pub(super) fn mirror(url: &str, cache: &Path) -> Option<Self> {
        let usual = Self::new(vec![url.trim_end_matches('/').to_owned()], cache.join("debug"))?;
        let limits = Self::limits(usual);
        Some(Self { is_mirror: true, ..limits })
    }

    /// Whether servers may be asked from now on; what the cache has is there in any case.
    pub fn allow(&self, ask: bool) {
        self.seen.closed.store(!ask, Ordering::Relaxed);
    }

    /// Whether servers may be asked now. Where not, it is counted that something would have been.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        let allowed = !self.seen.closed.load(Ordering::Relaxed);
        if !allowed {
            self.seen.unasked.fetch_add(1, Ordering::Relaxed);
        }
        allowed
    }

    /// How often something would have been asked while nothing was to be.
    #[must_use]
    pub fn unasked(&self) -> u64 {
        self.seen.unasked.load(Ordering::Relaxed)
    }

    /// The servers, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        self.urls.join(" ")
    }

    /// The file, where the cache has it.
    #[must_use]
    pub fn cached(&self, build_id: &[u8], what: &Artifact) -> Option<PathBuf> {
        let path = self.place(build_id, what);
        path.metadata().is_ok_and(|m| m.len() != 0).then_some(path)
    }

    /// Where the file is kept.
    fn place(&self, build_id: &[u8], what: &Artifact) -> PathBuf {
        let name = match what {
            Artifact::DebugInfo => "debuginfo".to_owned(),
            Artifact::Executable => "executable".to_owned(),
            Artifact::Source(path) => format!("source-{}", escaped(path)),
            Artifact::OfTree => "debuginfo".to_owned(),
            Artifact::Pack => "pack".to_owned(),
        };
        self.cache.join(hex(build_id)).join(name)
    }

    /// The file: from the cache, else from the first server that has it.
    ///
    /// # Errors
    /// Where no server has it, none answers as it should, or the work was stopped.
    pub fn fetch(&self, build_id: &[u8], what: &Artifact, watch: &Watch) -> Result<PathBuf, FetchError> {
        if build_id.is_empty() {
            return Err(FetchError::NotThere);
        }
        let place = self.place(build_id, what);
        // a mirror is asked for what is not whole here
        if !self.is_mirror {
            if let Some(path) = self.cached(build_id, what) {
                cache::touch(&path);
                return Ok(path);
            }
            if self.missed_lately(&place) {
                return Err(FetchError::NotThere);
            }
        }
        // a stop of the whole work is none of a transfer
        if self.seen.stopped.load(Ordering::Relaxed) || watch.cancel.is_cancelled() {
            return Err(FetchError::Cancelled);
        }
        if !self.may_ask() {
            return Err(FetchError::NotWanted);
        }
        let io = |e: &io::Error| FetchError::Cache { path: place.clone(), why: e.to_string() };
        fs::create_dir_all(place.parent().unwrap_or(Path::new(""))).map_err(|e| io(&e))?;
        let mut failed = None;
        for (n, server) in self.urls.iter().enumerate() {
            if let Some(why) = self.is_down(server) {
                failed.get_or_insert_with(|| FetchError::Failed { url: server.clone(), why });
                continue;
            }
            let url = format!("{server}/{}", what.on_server(build_id));
            // those behind it shall have their time too
            let share = self.urls.len().saturating_sub(n);
            let Some(wait) = self.time_left(share) else {
                let why =
                    "not asked: the time of DEBUGINFOD_TIMEOUT went to servers that stayed silent".into();
                failed.get_or_insert(FetchError::Failed { url: server.clone(), why });
                continue;
            };
            match self.try_server(server, &url, build_id, what, &place, wait, watch) {
                Ok(()) => return Ok(place),
                Err(FetchError::NotThere) => {}
                Err(FetchError::Cancelled) => {
                    self.seen.stopped.store(true, Ordering::Relaxed);
                    self.note(&FetchError::Cancelled);
                    // the work that wanted the file goes on without it
                    watch.cancel.go_on();
                    return Err(FetchError::Cancelled);
                }
                Err(e @ FetchError::Cache { .. }) => {
                    self.note(&e);
                    return Err(e);
                }
                Err(e) => failed = Some(e),
            }
        }
        match failed {
            Some(e) => {
                self.note(&e);
                Err(e)
            }
            None => {
                if !self.is_mirror {
                    let _ = File::create(&place); // only a note for the next ten minutes
                }
                Err(FetchError::NotThere)
            }
        }
    }

    /// Why a server is not asked: it stayed silent in this session, or a short time ago in another.
    fn is_down(&self, server: &str) -> Option<String> {
        if self.seen.down.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|down| down == server) {
            return Some("did not answer before; not asked again in this session".into());
        }
        unreachable::noted(&self.cache, server, self.miss_time())
    }

    /// Remembers what the user has to know: a server that failed may have had what is missing.
    fn note(&self, error: &FetchError) {
        let server = match error {
            FetchError::Failed { url, .. } | FetchError::TooBig { url, .. } => {
                self.urls.iter().find(|server| url.starts_with(server.as_str())).unwrap_or(url).clone()
            }
            FetchError::Cache { .. } => "the cache".to_owned(),
            FetchError::Cancelled => "the user".to_owned(),
            FetchError::NotThere | FetchError::NotWanted => return,
        };
        let why = match error {
            FetchError::Cancelled => "stopped; nothing more is fetched in this session".to_owned(),
            other => other.to_string(),
        };
        let mut failed = self.seen.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if !failed.0.iter().any(|(known, _)| *known == server) {
            failed.0.push((server, why));
        }
    }

    /// The failures of servers that were not told yet: one a server.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut failed = self.seen.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<String> = failed.0.iter().skip(failed.1).map(|(_, why)| why.clone()).collect();
        failed.1 = failed.0.len();
        new
    }

    /// How long a server may stay silent, where `share` of them may still be asked; zero where there is no limit, `None`
    /// where all of the time is gone.
    fn time_left(&self, share: usize) -> Option<Duration> {
        if self.timeout.is_zero() {
            return Some(Duration::ZERO);
        }
        let silence = *self.seen.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let left = self.timeout.checked_sub(silence).filter(|left| *left >= TICK)?;
        Some((left / u32::try_from(share.max(1)).unwrap_or(1)).max(TICK))
    }

    /// For how many seconds what was not to be had is not asked for again.
    fn miss_time(&self) -> u64 {
        let set = fs::read_to_string(self.cache.join("cache_miss_s")).ok();
        set.and_then(|t| t.trim().parse().ok()).unwrap_or(MISS)
    }

    /// True where the note that no server has it is still young; an old one is removed.
    fn missed_lately(&self, place: &Path) -> bool {
        let Ok(meta) = place.metadata() else { return false };
        let valid = self.miss_time();
        let age = meta.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if meta.len() == 0 && age.is_some_and(|age| age.as_secs() <= valid) {
            return true;
        }
        let _ = fs::remove_file(place);
        false
    }

    /// One server, again where the transfer broke.
    #[expect(clippy::too_many_arguments, reason = "all of them say which file from where")]
    fn try_server(
        &self,
        server: &str,
        url: &str,
        build_id: &[u8],
        what: &Artifact,
        place: &Path,
        wait: Duration,
        watch: &Watch,
    ) -> Result<(), FetchError> {
        let half = cache::half(place);
        let mut last = FetchError::NotThere;
        for _ in 0..=self.retries {
            let began = Instant::now();
            let got = self.transfer(url, &half, wait, watch).and_then(|()| check(url, &half, build_id, what));
            let got = got.map_err(|e| match e {
                Broken::Final(e) => (e, false, false),
                Broken::Again(e) => (e, true, false),
                Broken::Dead(e) => (e, false, true),
            });
            match got {
                Ok(()) => {
                    return fs::rename(&half, place)
                        .map_err(|e| FetchError::Cache { path: place.to_owned(), why: e.to_string() });
                }
                Err((e, again, dead)) => {
                    let _ = fs::remove_file(&half); // there may be none
                    if dead {
                        self.seen.down.lock().unwrap_or_else(PoisonError::into_inner).push(server.to_owned());
                        if !self.is_mirror {
                            unreachable::note(&self.cache, server, began.elapsed());
                        }
                    }
                    if !again {
                        return Err(e);
                    }
                    last = e;
                }
            }
        }
        Err(last)
    }

    /// Brings the file into `half`. The server is read by a thread, so that neither a stop nor the time waits
    /// for it; a thread that was left ends at the next byte, or by its own limit of time.
    fn transfer(&self, url: &str, half: &Path, wait: Duration, watch: &Watch) -> Result<(), Broken> {
        let state = Arc::new(State::default());
        let (send, receive) = mpsc::channel();
        let job = Job {
            url: url.to_owned(),
            half: half.to_owned(),
            agent: agent(wait, self.max_time),
            headers: self.headers.clone(),
            max_size: self.max_size,
            state: Arc::clone(&state),
        };
        std::thread::spawn(move || {
            let _ = send.send(job.run()); // nobody listens where the work was stopped
        });
        let failed = |why: String| FetchError::Failed { url: url.to_owned(), why };
        let began = Instant::now();
        let mut counted = (began, 0);
        let name = url.split_once("://").map_or(url, |(_, rest)| rest);
        let what = format!("fetching from {}", name.split('/').next().unwrap_or(name));
        let ended = loop {
            match receive.recv_timeout(TICK) {
                Ok(ended) => break ended,
                Err(RecvTimeoutError::Disconnected) => break Err(Broken::Final(failed("stopped".into()))),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let done = state.done.load(Ordering::Relaxed);
            watch.progress.step(&what, done, state.total.load(Ordering::Relaxed));
            if watch.cancel.is_cancelled() {
                break Err(Broken::Final(FetchError::Cancelled));
            }
            let now = Instant::now();
            if done.saturating_sub(counted.1) >= LEAST {
                counted = (now, done);
            }
            let slow = !wait.is_zero() && now.duration_since(counted.0) > wait;
            let long = self.max_time.is_some_and(|max| now.duration_since(began) > max);
            if slow || long {
                let why = format!("{done} bytes in {} seconds", now.duration_since(began).as_secs());
                let variable = if slow { "DEBUGINFOD_TIMEOUT" } else { "DEBUGINFOD_MAXTIME" };
                break Err(Broken::Dead(failed(format!("{why}: too slow ({variable})"))));
            }
        };
        state.stop.store(true, Ordering::Relaxed);
        if matches!(ended, Err(Broken::Dead(_) | Broken::Again(_))) {
            *self.seen.silence.lock().unwrap_or_else(PoisonError::into_inner) += counted.0.elapsed();
        }
        watch.progress.finish();
        ended
    }
}

/// How a transfer failed.
enum Broken {
    /// This is the answer.
    Final(FetchError),
    /// Another try may do.
    Again(FetchError),
    /// The server is not to be asked again.
    Dead(FetchError),
}

/// What a transfer and its watcher share.
#[derive(Default)]
struct State {
    done: AtomicU64,
    total: AtomicU64,
    stop: AtomicBool,
}

/// A transfer.
struct Job {
    url: String,
    half: PathBuf,
    agent: ureq::Agent,
    headers: Vec<(String, String)>,
    max_size: Option<u64>,
    state: Arc<State>,
}

impl Job {
    fn run(self) -> Result<(), Broken> {
        let failed = |why: String| FetchError::Failed { url: self.url.clone(), why };
        let mut request = self.agent.get(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.call().map_err(|e| match e {
            ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
                Broken::Final(failed(e.to_string()))
            }
            e => Broken::Dead(failed(e.to_string())),
        })?;
        match answer.status().as_u16() {
            200 => {}
            404 => return Err(Broken::Final(FetchError::NotThere)),
            code @ 500.. => return Err(Broken::Again(failed(format!("the server's error {code}")))),
            code => return Err(Broken::Final(failed(format!("the server answers with {code}")))),
        }
        let number = |name: &str| answer.headers().get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let plain = answer.headers().get("content-encoding").is_none();
        let length = number("content-length").filter(|_| plain).or_else(|| number("x-debuginfod-size"));
        if let (Some(size), Some(max)) = (length, self.max_size)
            && size > max
        {
            return Err(Broken::Final(FetchError::TooBig { url: self.url.clone(), size }));
        }
        self.state.total.store(length.unwrap_or(0), Ordering::Relaxed);
        let done = self.copy(answer.into_body().into_reader())?;
        match length {
            Some(length) if length != done => {
                Err(Broken::Again(failed(format!("{done} bytes of {length}: the transfer broke off"))))
            }
            _ => Ok(()),
        }
    }

    fn copy(&self, mut body: impl Read) -> Result<u64, Broken> {
        let cache =
            |e: &io::Error| Broken::Final(FetchError::Cache { path: self.half.clone(), why: e.to_string() });
        let mut out = File::create(&self.half).map_err(|e| cache(&e))?;
        let mut buffer = vec![0; 1 << 16];
        let mut done = 0;
        loop {
            if self.state.stop.load(Ordering::Relaxed) {
                return Err(Broken::Final(FetchError::Cancelled));
            }
            let failed = |why: String| Broken::Again(FetchError::Failed { url: self.url.clone(), why });
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(failed(e.to_string())),
            };
            let read = buffer.get(..n).unwrap_or_default();
            if done == 0 && is_debug_file(&self.url) && !may_begin_elf(read) {
                let why = "what it sends is no debug file: it does not begin as ELF does".to_owned();
                return Err(Broken::Final(FetchError::Failed { url: self.url.clone(), why }));
            }
            done += n as u64;
            if let Some(max) = self.max_size.filter(|max| done > *max) {
                let too_big = FetchError::TooBig { url: self.url.clone(), size: done.max(max) };
                return Err(Broken::Final(too_big));
            }
            out.write_all(buffer.get(..n).unwrap_or_default()).map_err(|e| cache(&e))?;
            self.state.done.store(done, Ordering::Relaxed);
        }
        out.flush().map(|()| done).map_err(|e| cache(&e))
    }
}

/// True where a debug file or a program was asked for, and no source.
fn is_debug_file(url: &str) -> bool {
    ["/debuginfo", "/executable"].iter().any(|end| url.ends_with(end))
}

fn may_begin_elf(bytes: &[u8]) -> bool {
    const ELF: &[u8] = b"\x7fELF";
    bytes.iter().zip(ELF).all(|(byte, own)| byte == own)
}

/// Certificates are those that this system trusts: servers inside companies have their own.
fn agent(timeout: Duration, max_time: Option<Duration>) -> ureq::Agent {
    let wait = Some(timeout).filter(|t| !t.is_zero());
    let roots = ureq::tls::RootCerts::PlatformVerifier;
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(MAX_REDIRECTS)
        // who is not reached at once is not reached at all: an answer can take its time, a connection does not
        .timeout_resolve(wait.map(|wait| wait.min(REACH)))
        .timeout_connect(wait.map(|wait| wait.min(REACH)))
        .timeout_recv_response(wait)
        .timeout_global(max_time)
        .user_agent(concat!("crashlens/", env!("CARGO_PKG_VERSION")))
        .tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build())
        .build()
        .into()
}

/// Whether what came is what was asked for.
fn check(url: &str, file: &Path, build_id: &[u8], what: &Artifact) -> Result<(), Broken> {
    let wrong = |why: String| Broken::Final(FetchError::Failed { url: url.to_owned(), why });
    match what {
        Artifact::Source(_) => return Ok(()),
        Artifact::Pack => return check_pack(file, build_id).map_err(wrong),
        Artifact::DebugInfo | Artifact::Executable | Artifact::OfTree => {}
    }
    let object = ObjectFile::open(file).map_err(|e| wrong(format!("what it sent is no debug file: {e}")))?;
    match object.build_id() {
        Some(id) if id == build_id => Ok(()),
        id => {
            let id = id.map_or_else(|| "none".to_owned(), hex);
            Err(wrong(format!("what it sent has build id {id}, not {}", hex(build_id))))
        }
    }
}

/// Why a pack that came is not the one that was asked for.
fn check_pack(file: &Path, build_id: &[u8]) -> Result<(), String> {
    let pack = Pack::open(file).map_err(|e| {
        let file = format!("{}: ", file.display());
        format!("what it sent is no pack: {}", e.to_string().replace(&file, ""))
    })?;
    match pack.vmlinux() {
        Some(own) if own.build_id == build_id => Ok(()),
        own => {
            let id = own.map_or_else(|| "none".to_owned(), |own| hex(&own.build_id));
            Err(format!("the pack that it sent is of build id {id}, not {}", hex(build_id)))
        }
    }
}
