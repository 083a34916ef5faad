//! The client against servers made here.

use super::debuginfod::*;
use super::tests::object;
use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const ID: &[u8] = &[0xab, 0xcd, 0xef];

/// A server that gives the answers in turn, the last for ever, and notes the requests. An answer that ends in `…`
/// is held open.
pub(super) struct Server {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn new(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().flatten().enumerate() {
                let answer = answers[n.min(answers.len() - 1)].clone();
                let notes = Arc::clone(&notes);
                std::thread::spawn(move || serve(stream, &answer, &notes));
            }
        });
        Self { url, asked }
    }
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
    fn client(&self, cache: &Path) -> Debuginfod {
        Debuginfod::new(vec![self.url.clone()], cache.to_owned()).unwrap()
    }
}

fn serve(mut stream: std::net::TcpStream, answer: &[u8], notes: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        request.push(byte[0]);
    }
    notes.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    match answer.strip_suffix("…".as_bytes()) {
        Some(part) => {
            stream.write_all(part).unwrap();
            std::thread::sleep(Duration::from_secs(20));
        }
        None => stream.write_all(answer).unwrap(),
    }
}

pub(super) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n").into_bytes();
    out.extend_from_slice(body);
    out
}

pub(super) fn good(body: &[u8]) -> Vec<u8> {
    answer("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
}

pub(super) fn missing() -> Vec<u8> {
    answer("404 Not Found", "Content-Length: 9\r\n", b"not found")
}

fn left_behind(cache: &Path) -> bool {
    let all = std::fs::read_dir(cache.join("abcdef")).into_iter().flatten().flatten();
    all.into_iter().any(|e| e.file_name().to_string_lossy().ends_with(".part"))
}

#[test]
fn a_file_is_fetched_once_and_lies_where_all_clients_look() {
    let cache = tempfile::tempdir().unwrap();
    let file = object(ID, true);
    let server = Server::new(vec![good(&file)]);
    let client = server.client(cache.path());
    assert_eq!(client.cached(ID, &Artifact::DebugInfo), None);
    let path = client.fetch(ID, &Artifact::DebugInfo, &Watch::default()).unwrap();
    assert_eq!(path, cache.path().join("abcdef/debuginfo"));
    assert_eq!(std::fs::read(&path).unwrap(), file);
    assert_eq!(client.fetch(ID, &Artifact::DebugInfo, &Watch::default()).unwrap(), path);
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with("GET /buildid/abcdef/debuginfo HTTP/1.1"), "{}", asked[0]);
    assert!(!left_behind(cache.path()));
}

#[test]
fn the_second_server_is_asked_where_the_first_has_it_not() {
    let cache = tempfile::tempdir().unwrap();
    let (first, second) = (Server::new(vec![missing()]), Server::new(vec![good(&object(ID, true))]));
    let mut client = first.client(cache.path());
    client.urls.push(second.url.clone());
    client.headers = vec![("X-Token".into(), "secret".into())];
    assert!(
        client.fetch(ID, &Artifact::Executable, &Watch::default()).unwrap().ends_with("abcdef/executable")
    );
    assert!(second.asked()[0].to_lowercase().contains("x-token: secret"));
}

#[test]
fn what_no_server_has_is_not_asked_for_again_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::new(vec![missing()]);
    let client = server.client(cache.path());
    for _ in 0..2 {
        let error = client.fetch(ID, &Artifact::DebugInfo, &Watch::default()).unwrap_err();
        assert_eq!(error, FetchError::NotThere);
    }
    assert_eq!(server.asked().len(), 1);
    let note = cache.path().join("abcdef/debuginfo");
    assert_eq!(note.metadata().unwrap().len(), 0);
    // an empty file is no debug file
    let finder = Finder::under(cache.path(), "6.1").with_servers(Some(Arc::new(client.clone())));
    assert!(finder.vmlinux(Some(ID)).found.is_none());
    // after the time that the cache's file tells it is asked for again
    std::fs::write(cache.path().join("cache_miss_s"), "0\n").unwrap();
    let old = std::time::SystemTime::now() - Duration::from_secs(5);
    std::fs::File::options().append(true).open(&note).unwrap().set_modified(old).unwrap();
    assert!(client.fetch(ID, &Artifact::DebugInfo, &Watch::default()).is_err());
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn redirections_are_followed_and_loops_of_them_end() {
    let cache = tempfile::tempdir().unwrap();
    let target = Server::new(vec![good(&object(ID, true))]);
    let there = format!("Location: {}/elsewhere\r\nContent-Length: 0\r\n", target.url);
    let server = Server::new(vec![answer("302 Found", &there, b"")]);
    assert!(server.client(cache.path()).fetch(ID, &Artifact::DebugInfo, &Watch::default()).is_ok());
    assert!(target.asked()[0].starts_with("GET /elsewhere "));
    let looping = Server::new(vec![answer("302 Found", "Location: /again\r\nContent-Length: 0\r\n", b"")]);
    let error =
        looping.client(cache.path()).fetch(&[1], &Artifact::DebugInfo, &Watch::default()).unwrap_err();
    assert!(matches!(error, FetchError::Failed { .. }), "{error}");
    assert!(looping.asked().len() < 20);
}

#[test]
fn a_transfer_that_breaks_off_is_begun_again_and_then_an_error() {
    let cache = tempfile::tempdir().unwrap();
    let file = object(ID, true);
    let cut = answer("200 OK", &format!("Content-Length: {}\r\n", file.len() + 10), &file);
    let server = Server::new(vec![cut.clone(), good(&file)]);
    assert!(server.client(cache.path()).fetch(ID, &Artifact::DebugInfo, &Watch::default()).is_ok());
    assert_eq!(server.asked().len(), 2);

    let cache = tempfile::tempdir().unwrap();
    let server = Server::new(vec![cut]);
    let error = server.client(cache.path()).fetch(ID, &Artifact::DebugInfo, &Watch::default()).unwrap_err();
    assert!(matches!(error, FetchError::Failed { .. }), "{error}");
    assert_eq!(server.asked().len(), 3);
    assert!(!cache.path().join("abcdef/debuginfo").exists() && !left_behind(cache.path()));
}

#[test]
fn files_of_another_build_and_what_is_no_file_are_refused() {
    for (body, want) in
        [(object(&[1, 2, 3], true), "has build id 010203, not abcdef"), (b"<html>".to_vec(), "no debug file")]
    {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::new(vec![good(&body)]);
        let error =
            server.client(cache.path()).fetch(ID, &Artifact::DebugInfo, &Watch::default()).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert!(!cache.path().join("abcdef/debuginfo").exists() && !left_behind(cache.path()));
    }
}

#[test]
fn errors_of_servers_and_files_that_are_too_large() {
    let cache = tempfile::tempdir().unwrap();
    let refused = Server::new(vec![answer("403 Forbidden", "Content-Length: 0\r\n", b"")]);
    let error = refused.client(cache.path()).fetch(ID, &Artifact::DebugInfo, &Watch::default()).unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
    let large = Server::new(vec![good(&object(ID, true))]);
    let mut client = large.client(cache.path());
    client.max_size = Some(100);
    let error = client.fetch(ID, &Artifact::DebugInfo, &Watch::default()).unwrap_err();
    assert!(matches!(error, FetchError::TooBig { .. }), "{error}");
    // one that says no length is stopped on its way
    let endless = Server::new(vec![answer("200 OK", "", &object(ID, true))]);
    let mut client = endless.client(cache.path());
    client.max_size = Some(100);
    let error = client.fetch(ID, &Artifact::DebugInfo, &Watch::default()).unwrap_err();
    assert!(matches!(error, FetchError::TooBig { .. }), "{error}");
    let nobody = Debuginfod::new(vec!["http://127.0.0.1:1".into()], cache.path().to_owned()).unwrap();
    assert!(matches!(
        nobody.fetch(ID, &Artifact::DebugInfo, &Watch::default()),
        Err(FetchError::Failed { .. })
    ));
}

#[test]
fn a_server_that_stalls_is_given_up_and_not_asked_again() {
    let cache = tempfile::tempdir().unwrap();
    for stalled in [
        "…".as_bytes().to_vec(),
        "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n\x7fELF…".as_bytes().to_vec(),
    ] {
        let server = Server::new(vec![stalled]);
        let mut client = server.client(cache.path());
        client.timeout = Duration::from_millis(300);
        let began = Instant::now();
        assert!(client.fetch(ID, &Artifact::DebugInfo, &Watch::default()).is_err());
        let again = client.fetch(&[7], &Artifact::DebugInfo, &Watch::default()).unwrap_err();
        assert!(again.to_string().contains("not asked again"), "{again}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(server.asked().len(), 1);
    }
}

fn stop_soon(watch: &Watch) {
    let switch = watch.cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        switch.cancel();
    });
}

#[test]
fn a_request_to_stop_is_heard_while_the_server_is_silent() {
    let cache = tempfile::tempdir().unwrap();
    let server =
        Server::new(vec!["HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n\x7fELF…".as_bytes().to_vec()]);
    let watch = Watch::default();
    stop_soon(&watch);
    let began = Instant::now();
    let error = server.client(cache.path()).fetch(ID, &Artifact::DebugInfo, &watch).unwrap_err();
    assert_eq!(error, FetchError::Cancelled);
    assert!(began.elapsed() < Duration::from_secs(8) && !left_behind(cache.path()));
}

#[test]
fn after_a_stop_nothing_more_is_asked() {
    let cache = tempfile::tempdir().unwrap();
    let server =
        Server::new(vec!["HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n\x7fELF…".as_bytes().to_vec()]);
    let client = server.client(cache.path());
    let watch = Watch::default();
    // a stop of the work is none of a transfer that has not begun
    watch.cancel.cancel();
    assert_eq!(client.fetch(ID, &Artifact::DebugInfo, &watch).unwrap_err(), FetchError::Cancelled);
    assert!(watch.cancel.is_cancelled() && server.asked().is_empty() && client.failures().is_empty());
    watch.cancel.reset();
    stop_soon(&watch);
    assert_eq!(client.fetch(ID, &Artifact::DebugInfo, &watch).unwrap_err(), FetchError::Cancelled);
    assert!(!watch.cancel.is_cancelled(), "the work goes on");
    assert_eq!(client.failures().len(), 1);
    let asked = server.asked().len();
    for id in 1..9 {
        let error = client.clone().fetch(&[id], &Artifact::DebugInfo, &watch).unwrap_err();
        assert_eq!(error, FetchError::Cancelled);
    }
    assert_eq!(server.asked().len(), asked);
}

/// All silence together is bounded, and a silent server leaves time for those behind it.
#[test]
fn silent_servers_share_the_time() {
    let cache = tempfile::tempdir().unwrap();
    let silent = || Server::new(vec!["…".as_bytes().to_vec()]);
    let (first, second) = (silent(), silent());
    let third = Server::new(vec![good(&object(ID, true))]);
    let mut client = first.client(cache.path());
    client.urls.extend([&second, &third].into_iter().flat_map(|s| s.client(cache.path()).urls));
    client.timeout = Duration::from_millis(600);
    assert!(client.fetch(ID, &Artifact::DebugInfo, &Watch::default()).is_ok());

    let mut client = first.client(cache.path());
    client.urls.push(second.client(cache.path()).urls.remove(0));
    client.timeout = Duration::from_millis(400);
    assert!(client.fetch(&[7], &Artifact::DebugInfo, &Watch::default()).is_err());
    // the time is gone: a server that was not asked before is not asked now
    client.urls.push(third.client(cache.path()).urls.remove(0));
    let asked = third.asked().len();
    let error = client.fetch(&[8], &Artifact::DebugInfo, &Watch::default()).unwrap_err().to_string();
    assert!(error.contains("not asked"), "{error}");
    assert_eq!(third.asked().len(), asked);
}

#[test]
fn source_files_by_their_paths() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::new(vec![good(b"int x;\n")]);
    let what = Artifact::Source("/usr/src/a b.c".into());
    let path = server.client(cache.path()).fetch(ID, &what, &Watch::default()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"int x;\n");
    assert!(path.file_name().unwrap().to_string_lossy().ends_with("-#usr#src#a#b.c"));
    assert!(server.asked()[0].starts_with("GET /buildid/abcdef/source/usr/src/a%20b.c "));
}

#[test]
fn the_finder_asks_servers_last() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::new(vec![good(&object(ID, true))]);
    let client = Arc::new(server.client(&root.path().join("cache")));
    let here = root.path().join("usr/lib/debug/boot/vmlinux-6.1");
    std::fs::create_dir_all(here.parent().unwrap()).unwrap();
    std::fs::write(&here, object(ID, true)).unwrap();
    let finder = Finder::under(root.path(), "6.1").with_servers(Some(client));
    assert_eq!(finder.vmlinux(Some(ID)).found.unwrap().path, here);
    assert!(server.asked().is_empty());
    std::fs::remove_file(&here).unwrap();
    assert!(finder.vmlinux(Some(ID)).found.unwrap().path.ends_with("cache/abcdef/debuginfo"));
    assert!(finder.vmlinux(None).found.is_none(), "without a build id nothing can be asked for");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_dwz_took_out_comes_from_a_server_by_its_build_id() {
    use crate::dwarf::{DwarfError, DwarfFile};
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("vmlinux");
    let link = [b"../../.dwz/common\0".as_slice(), ID].concat();
    let sections = [(".debug_info", vec![0; 16]), (".gnu_debugaltlink", link)];
    std::fs::write(&file, crate::dwarf::tests::elf(2, &sections)).unwrap();
    let open = |finder: &Finder| {
        let object = Arc::new(ObjectFile::open(&file).unwrap());
        DwarfFile::open_with(object, &crate::elf::Placement::slid(0), &|name, id| finder.supplement(name, id))
    };
    let with = |server: &Server, cache: &str| {
        let client = Arc::new(server.client(&root.path().join(cache)));
        Finder::under(&root.path().join("system"), "6.1").with_servers(Some(client))
    };

    let server = Server::new(vec![good(&object(ID, true))]);
    assert!(open(&with(&server, "cache")).is_ok());
    // the next session has it
    assert!(open(&with(&server, "cache")).is_ok());
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("GET /buildid/abcdef/debuginfo "), "{asked:?}");

    // a server that has it not, and one that sends another build
    for answer in [missing(), good(&object(b"OTHER", true))] {
        let server = Server::new(vec![answer]);
        let cache = format!("cache{}", server.url.rsplit(':').next().unwrap());
        let error = open(&with(&server, &cache)).unwrap_err();
        assert!(matches!(&error, DwarfError::NoSupplement { .. }), "{error}");
        assert!(error.to_string().contains("abcdef"), "{error}");
        assert!(!server.asked().is_empty());
    }
}
