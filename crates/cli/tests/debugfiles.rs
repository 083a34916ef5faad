//! Where the program finds debug files: packages that are named or lie beside the dump, debuginfod servers. The sample
//! is the dump; the debug files are made here, with its build id and little else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod files;

use files::{debug_file, package, served};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/virtio-bug.kdump");

/// Asks for what debug files alone tell, and shows what was fetched: `info` itself asks no server.
const ASKS: [&str; 5] = [SAMPLE, "-c", "dis -l vfs_read 1", "-c", "info"];

fn crashlens(home: &Path, servers: &str, args: &[&str]) -> Output {
    command(home, servers, args).output().unwrap()
}

fn command(home: &Path, servers: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crashlens"));
    for name in ["XDG_CACHE_HOME", "DEBUGINFOD_CACHE_PATH", "DEBUGINFOD_MAXSIZE", "DEBUGINFOD_TIMEOUT"] {
        command.env_remove(name);
    }
    command.args(args).env("HOME", home).env("DEBUGINFOD_URLS", servers).current_dir(home);
    command
}

fn stdout(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// The build id of the sample's kernel, as the program says it.
fn build_id(home: &Path) -> String {
    let text = stdout(&crashlens(home, "", &["info", SAMPLE, "--no-search"]));
    let line = text.lines().find_map(|l| l.trim().strip_prefix("BUILD ID: ")).unwrap();
    line.trim().to_owned()
}

/// A server that sends one file for every request, and counts them.
fn server(body: Vec<u8>) -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let url = served(move |request| {
        notes.lock().unwrap().push(request.to_owned());
        Some(body.clone())
    });
    (url, asked)
}

fn vmlinux(out: &Output) -> String {
    let text = stdout(out);
    let line = text.lines().find_map(|l| l.trim().strip_prefix("VMLINUX: "));
    line.unwrap_or_else(|| panic!("{text}{}", stderr(out))).to_owned()
}

#[test]
fn nothing_is_fetched_unless_servers_are_named_and_wanted() {
    let home = tempfile::tempdir().unwrap();
    let id = build_id(home.path());
    let (url, asked) = server(debug_file(&id));
    for (servers, option) in
        [("", "--silent"), (url.as_str(), "--no-debuginfod"), (url.as_str(), "--no-search")]
    {
        let out = crashlens(home.path(), servers, &["info", SAMPLE, option]);
        assert!(vmlinux(&out).starts_with("not there"), "{option}");
    }
    assert!(asked.lock().unwrap().is_empty());
    let out = crashlens(home.path(), &url, &ASKS);
    let place = home.path().join(".cache/debuginfod_client").join(&id).join("debuginfo");
    assert_eq!(vmlinux(&out), place.display().to_string());
    assert_eq!(*asked.lock().unwrap(), [format!("GET /buildid/{id}/debuginfo HTTP/1.1")]);
    // from then on it is in the cache that is looked in without servers
    let out = crashlens(home.path(), "", &["info", SAMPLE]);
    assert_eq!(vmlinux(&out), place.display().to_string());
}

/// What needs no debug information asks for none, and does not wait for a server that stays silent.
#[test]
fn nothing_is_fetched_that_the_command_does_not_need() {
    let home = tempfile::tempdir().unwrap();
    let id = build_id(home.path());
    let (url, asked) = server(debug_file(&id));
    for args in [
        &["log", SAMPLE][..],
        &["--log", SAMPLE],
        &[SAMPLE, "-c", "log -T | tail -1", "-c", "rd linux_banner 4"],
        &["dmesg", SAMPLE],
        &["vtop", SAMPLE, "linux_banner"],
        // the dump has its types and all names
        &["help", SAMPLE, "bt"],
        &[SAMPLE, "-c", "set", "-c", "sys", "-c", "ps", "-c", "mod", "-c", "sym jiffies", "-c", "info"],
        &["dis", SAMPLE, "vfs_read"],
        &["foreach", SAMPLE, "active", "set"],
        &["struct", SAMPLE, "list_head"],
        // frames come from the dump's own tables
        &["bt", SAMPLE],
        &["bt", SAMPLE, "-fx", "1"],
        &["foreach", SAMPLE, "UN", "bt", "-s"],
        // no type of these is lacking
        &["p", SAMPLE, "1 + 1"],
        &["p", SAMPLE, "init_task.comm"],
        &[SAMPLE, "-c", "jiffies", "-c", "px init_task.pid", "-c", "whatis struct list_head"],
    ] {
        let out = crashlens(home.path(), &url, args);
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", stderr(&out));
        assert!(!out.stdout.is_empty());
    }
    assert!(asked.lock().unwrap().is_empty());
    let info = stdout(&crashlens(home.path(), &url, &["info", SAMPLE]));
    assert!(info.contains("not asked: what was asked of the dump gains nothing by debug files"), "{info}");
    crashlens(home.path(), &url, &["ps", SAMPLE, "--ignore-btf"]);
    assert_eq!(asked.lock().unwrap().len(), 1, "a kernel without types");
    asked.lock().unwrap().clear();
    std::fs::remove_dir_all(home.path().join(".cache")).unwrap();
    crashlens(home.path(), &url, &[SAMPLE, "-c", "log", "-c", "bt -l"]);
    assert!(!asked.lock().unwrap().is_empty());
    for line in ["verdict", "foreach active bt -l", "dis -l vfs_read 1"] {
        asked.lock().unwrap().clear();
        std::fs::remove_dir_all(home.path().join(".cache")).unwrap();
        crashlens(home.path(), &url, &[SAMPLE, "-c", line]);
        assert!(!asked.lock().unwrap().is_empty(), "{line}");
    }
}

/// A symbol that does not exist is none of a debug file's; a variable whose type nobody knows is.
#[test]
fn an_expression_asks_for_the_type_that_it_lacks() {
    let home = tempfile::tempdir().unwrap();
    let id = build_id(home.path());
    let (url, asked) = server(debug_file(&id));
    let out = crashlens(home.path(), &url, &["p", SAMPLE, "nosuch_variable"]);
    assert_eq!((out.status.code(), asked.lock().unwrap().len()), (Some(1), 0), "{}", stderr(&out));
    crashlens(home.path(), &url, &["p", SAMPLE, "pid_caches_mutex"]);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[test]
fn a_server_s_wrong_file_is_refused_and_the_session_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let (url, _) = server(debug_file("0102"));
    let out = crashlens(home.path(), &url, &ASKS);
    assert_eq!(out.status.code(), Some(0));
    assert!(stdout(&out).contains("what it sent has build id 0102"), "{}", stdout(&out));
    // told by name, once for all that was asked of it
    let told = stderr(&out);
    let lines: Vec<&str> =
        told.lines().filter(|line| line.contains("debuginfod: http://127.0.0.1")).collect();
    assert!(matches!(lines[..], [line] if line.ends_with("; the answers do without")), "{told}");
}

#[test]
fn packages_by_name_and_beside_the_dump() {
    let home = tempfile::tempdir().unwrap();
    let id = build_id(home.path());
    let unpacked = |home: &Path| home.join(".cache/crashlens/debug").join(&id).join("debuginfo");
    let deb = home.path().join("anything.deb");
    package(&deb, "./usr/lib/debug/boot/vmlinux-6.1", &debug_file(&id));
    let deb = deb.display().to_string();
    // a package that is named is used whatever is not to be searched
    for option in ["--no-search", "--silent"] {
        let out = crashlens(home.path(), "", &["info", SAMPLE, &deb, option]);
        assert_eq!(vmlinux(&out), unpacked(home.path()).display().to_string());
    }
    let alone = crashlens(home.path(), "", &[&deb]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(stderr(&alone).contains("this is a package; name a dump as well"), "{}", stderr(&alone));

    let home = tempfile::tempdir().unwrap();
    let dump = home.path().join("vmcore");
    std::fs::copy(SAMPLE, &dump).unwrap();
    let dump = dump.display().to_string();
    let beside: PathBuf = home.path().join("linux-image-6.1.0-56-cloud-amd64-dbg_6.1.192-2_amd64.deb");
    package(&beside, "./usr/lib/debug/boot/vmlinux-6.1", &debug_file(&id));
    assert!(vmlinux(&crashlens(home.path(), "", &["info", &dump, "--no-search"])).starts_with("not there"));
    let out = crashlens(home.path(), "", &["info", &dump]);
    assert_eq!(vmlinux(&out), unpacked(home.path()).display().to_string());
}

#[test]
fn a_package_of_another_build_is_said_and_the_right_one_named() {
    let home = tempfile::tempdir().unwrap();
    let deb = home.path().join("other.deb");
    package(&deb, "./usr/lib/debug/boot/vmlinux-6.1", &debug_file("0a0b"));
    let out = crashlens(home.path(), "", &["info", SAMPLE, &deb.display().to_string(), "--no-search"]);
    assert!(stderr(&out).contains("other.deb: vmlinux: is of another build (0a0b)"), "{}", stderr(&out));
    let text = stdout(&out);
    assert!(text.contains("Debian: linux-image-6.1.0-56-cloud-amd64-dbg=6.1.192-2"), "{text}");
    assert!(!home.path().join(".cache/crashlens/debug").read_dir().is_ok_and(|mut d| d.next().is_some()));
}

/// A server that takes requests and never answers; the program is sent Ctrl-C when it has asked.
fn stopped_while_fetching(home: &Path, args: &[&str]) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut child = command(home, &url, args);
    let child =
        child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let (_held, _) = listener.accept().unwrap();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    child.wait_with_output().unwrap()
}

/// Ctrl-C ends the fetching: the command answers without what it would have brought, and what follows runs.
#[test]
fn what_ctrl_c_ends_is_fetching_and_not_the_command() {
    let home = tempfile::tempdir().unwrap();
    for line in ["bt -l", "verdict", "verdict -b", "foreach active bt -l", "p pid_caches_mutex"] {
        let plain = crashlens(home.path(), "", &[SAMPLE, "-c", line, "-c", "sym jiffies"]);
        let out = stopped_while_fetching(home.path(), &[SAMPLE, "-c", line, "-c", "sym jiffies"]);
        assert_eq!(stdout(&out), stdout(&plain), "{line}");
        assert_eq!(out.status.code(), plain.status.code(), "{line}");
        let note = "debuginfod: stopped; nothing more is fetched in this session; the answers do without";
        assert_eq!(stderr(&out).matches(note).count(), 1, "{line}: {}", stderr(&out));
    }
}

/// Who waited for a server in vain does not wait again, nor does the next who runs the program.
#[test]
fn a_silent_server_stalls_one_command_alone() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ask = |args: &[&str]| {
        let mut child = command(home.path(), &url, args);
        child.env("DEBUGINFOD_TIMEOUT", "2").output().unwrap()
    };
    let first = ask(&[SAMPLE, "-c", "bt -l", "-c", "verdict -b", "-c", "foreach active bt -l"]);
    assert_eq!(first.status.code(), Some(0));
    assert_eq!(stderr(&first).matches("debuginfod: ").count(), 1, "{}", stderr(&first));
    let again = ask(&["verdict", SAMPLE]);
    assert!(stderr(&again).contains("did not answer less than a minute ago"), "{}", stderr(&again));
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.incoming().take_while(Result::is_ok).count(), 1, "asked once in all");
}

#[test]
fn ctrl_c_stops_a_silent_server_and_not_the_session() {
    let home = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut child = command(home.path(), &url, &ASKS);
    let child =
        child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // it has asked, and gets no answer
    let (_held, _) = listener.accept().unwrap();
    let stopped = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    let began = std::time::Instant::now();
    let out = child.wait_with_output().unwrap();
    assert!(
        began.elapsed() < std::time::Duration::from_secs(60),
        "the usual limit of a server is 90 seconds"
    );
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    assert!(vmlinux(&out).starts_with("not there"));
    assert!(stdout(&out).contains("interrupted"), "{}", stdout(&out));
}

/// A module's file that is named and of no use is told.
#[test]
fn module_files_that_are_passed_over_are_told() {
    let home = tempfile::tempdir().unwrap();
    let mut object = debug_file("0a0b");
    object[16] = 1;
    for (name, why) in [
        ("virtio_ring.ko", "not used: virtio_ring.ko: build id 0a0b"),
        ("nosuch.ko", "nosuch.ko: not used: no module nosuch is loaded in the dump"),
    ] {
        std::fs::write(home.path().join(name), &object).unwrap();
        let out = crashlens(home.path(), "", &["mod", SAMPLE, name, "--no-search"]);
        assert!(stderr(&out).contains(&format!("crashlens: warning: {why}")), "{name}: {}", stderr(&out));
    }
}
