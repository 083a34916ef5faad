//! Folders of dumps: what is found, what is told of each, what a second run does again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

use base::Cancel;
use fleet::{End, Plan, Row, StateError, find, groups, run};
use kernel::OpenOptions;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn sample() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/virtio-bug.kdump")).unwrap()
}

/// A folder as kdump leaves it: good dumps, bad ones, other files.
fn folder(good: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: String, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let whole = sample();
    for n in 0..good {
        put(format!("host{n}/vmcore"), &whole);
    }
    put("broken/vmcore".to_owned(), b"nothing of a dump");
    put("cut/vmcore".to_owned(), &whole[..whole.len() / 2]);
    put("broken/vmcore-dmesg.txt".to_owned(), b"[    0.000000] Linux version");
    put("notes.txt".to_owned(), b"x");
    dir
}

fn plan(dir: &Path) -> Plan {
    let mut open = OpenOptions::default();
    (open.no_search, open.no_debuginfod) = (true, true);
    Plan { dumps: find(&[dir.to_owned()]).dumps, open, ..Plan::default() }
}

fn names(rows: &[Row], dir: &Path) -> Vec<String> {
    rows.iter().map(|row| row.file.strip_prefix(dir).unwrap().display().to_string()).collect()
}

fn jobs(n: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(n)
}

#[test]
fn a_bad_dump_is_a_row_and_stops_nothing() {
    let dir = folder(3);
    let found = find(&[dir.path().to_owned()]);
    assert_eq!((found.dumps.len(), found.others, found.problems.len()), (5, 2, 0));
    let mut seen = Vec::new();
    let plan = Plan { jobs: jobs(2), ..plan(dir.path()) };
    let rows = run(&plan, &Cancel::new(), &mut |row| seen.push(row.file.clone())).unwrap();
    let order = ["broken/vmcore", "cut/vmcore", "host0/vmcore", "host1/vmcore", "host2/vmcore"];
    assert_eq!(names(&rows, dir.path()), order);
    assert_eq!(seen, plan.dumps, "rows come in the order of the dumps, however many threads there are");
    assert_eq!(rows[0].end, End::Failed);
    assert!(rows[0].why.as_ref().is_some_and(|why| !why.is_empty()) && rows[0].signature.is_err());
    assert!(matches!(rows[1].end, End::Failed | End::Incomplete), "{:?}", rows[1]);
    for row in &rows[2..] {
        assert_eq!((row.end, row.class.as_deref()), (End::Whole, Some("bug")), "{row:?}");
        assert_eq!(row.place.as_deref(), Some("virtqueue_add_split+0x3d4 [virtio_ring]"));
        assert_eq!(row.source.as_deref(), Some("drivers/virtio/virtio_ring.c:550"));
        assert_eq!(
            (row.host.as_deref(), row.release.as_deref()),
            (Ok("crashbox"), Ok("6.1.0-56-cloud-amd64"))
        );
        assert_eq!(row.time, Ok(1_795_391_400));
        assert_eq!(row.known.len(), 1);
        assert!(row.signature.as_ref().unwrap().contains("bug:virtqueue_add_split"));
    }
}

#[test]
fn those_that_died_alike_are_one_group() {
    let dir = folder(3);
    let rows = run(&plan(dir.path()), &Cancel::new(), &mut |_| {}).unwrap();
    let groups = groups(&rows);
    assert_eq!(groups[0].rows.len(), 3);
    assert_eq!(groups[0].signature, Some(&rows[2].signature));
    assert_eq!(groups[0].times(), Some((1_795_391_400, 1_795_391_400)));
    assert_eq!(groups.last().unwrap().signature, None, "what could not be looked at is no death");
    assert_eq!(groups.iter().map(|group| group.rows.len()).sum::<usize>(), rows.len());
    let mut text = Vec::new();
    render::text(&fleet::table(&rows, &groups), render::Colour::Plain, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("GROUP  CLASS"), "{text}");
    assert!(text.contains("2026-11-22T23:50:00Z") && text.contains("(could not be looked at)"), "{text}");
}

/// A build is read once for all its dumps.
#[test]
fn dumps_of_one_build_share_it() {
    let dir = folder(4);
    let workspace = std::sync::Arc::new(kernel::Workspace::default());
    let mut plan = Plan { jobs: jobs(2), ..plan(dir.path()) };
    plan.dumps.retain(|dump| dump.to_string_lossy().contains("host"));
    plan.open.workspace = Some(workspace.clone());
    assert_eq!(run(&plan, &Cancel::new(), &mut |_| {}).unwrap().len(), 4);
    assert_eq!(workspace.builds_parsed(), 1);
}

/// Whatever line a run was killed in, the next one gives the same rows, each once, and looks only at what is missing.
#[test]
fn a_run_goes_on_where_it_was_stopped() {
    let dir = folder(3);
    let state = dir.path().join("state.jsonl");
    let plan = Plan { jobs: jobs(1), state: Some(state.clone()), ..plan(dir.path()) };
    let whole = run(&plan, &Cancel::new(), &mut |_| {}).unwrap();
    let lines = fs::read(&state).unwrap();
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1 + plan.dumps.len());
    for cut in [0, 1, 30, lines.len() / 3, lines.len() / 2, lines.len() - 1, lines.len()] {
        // a first line that is not whole is no state file, and is not written over
        fs::write(&state, &lines[..cut]).unwrap();
        let again = run(&plan, &Cancel::new(), &mut |_| {});
        if (1..lines.iter().position(|byte| *byte == b'\n').unwrap()).contains(&cut) {
            assert!(matches!(again, Err(StateError::Foreign(_))), "{cut}");
            continue;
        }
        assert_eq!(again.unwrap(), whole, "{cut}");
    }
    // rows of a file that is another one now are made again; what is kept of the others is taken as it is
    let text = String::from_utf8(lines).unwrap().replace("virtqueue_add_split+0x3d4", "kept");
    fs::write(&state, text).unwrap();
    let changed = dir.path().join("host1/vmcore");
    fs::write(&changed, sample()).unwrap();
    fs::File::options()
        .write(true)
        .open(&changed)
        .unwrap()
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let rows = run(&plan, &Cancel::new(), &mut |_| {}).unwrap();
    let places: Vec<&str> = rows[2..].iter().map(|row| row.place.as_deref().unwrap()).collect();
    assert_eq!(
        places,
        ["kept [virtio_ring]", "virtqueue_add_split+0x3d4 [virtio_ring]", "kept [virtio_ring]"]
    );
}

#[test]
fn a_file_that_is_no_state_stays_as_it_is() {
    let dir = folder(0);
    let state = dir.path().join("notes.txt");
    let plan = Plan { state: Some(state.clone()), ..plan(dir.path()) };
    assert!(matches!(run(&plan, &Cancel::new(), &mut |_| {}), Err(StateError::Foreign(_))));
    assert_eq!(fs::read(&state).unwrap(), b"x");
    // rows that were made otherwise are no rows of this run
    let state = dir.path().join("state");
    let plan = Plan { state: Some(state), ..plan };
    run(&plan, &Cancel::new(), &mut |_| {}).unwrap();
    let other = Plan { known: Some(PathBuf::from("/issues")), ..plan.clone() };
    let why = run(&other, &Cancel::new(), &mut |_| {}).unwrap_err().to_string();
    assert!(why.contains("--known /issues") && why.contains("name another file"), "{why}");
    let mut other = plan;
    other.open.no_modules = true;
    let why = run(&other, &Cancel::new(), &mut |_| {}).unwrap_err().to_string();
    assert!(why.contains("--no_modules"), "{why}");
}

#[test]
fn a_stop_keeps_what_was_done() {
    let dir = folder(3);
    let state = dir.path().join("state");
    let plan = Plan { jobs: jobs(1), state: Some(state), ..plan(dir.path()) };
    let cancel = Cancel::new();
    let mut count = 0;
    let rows = run(&plan, &cancel, &mut |_| {
        count += 1;
        if count == 2 {
            cancel.cancel();
        }
    });
    let rows = rows.unwrap();
    assert!((2..plan.dumps.len()).contains(&rows.len()), "{}", rows.len());
    let all = run(&plan, &Cancel::new(), &mut |_| {}).unwrap();
    assert_eq!(all.len(), plan.dumps.len());
    assert_eq!(all[..rows.len()], rows[..]);
}
