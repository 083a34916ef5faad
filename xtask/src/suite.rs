//! `cargo xtask suite FOLDER`: asks libkdumpfile's own reader and crashlens for the physical memory of every dump that
//! libkdumpfile's test suite generates, and compares the bytes.
//!
//! FOLDER is `tests` of a built libkdumpfile in which `make check` has run: its dumps are then in `tests/out`, and
//! `tests/dumpdata` is its reader. Files and addresses go to both programs, their answers alone come back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::run::{At as _, Error, answer, command, installed, other, root, said};

/// Arguments of `suite`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// `tests` of libkdumpfile, where `make check` has run.
    tests: PathBuf,
    /// The program, already built: `target/release/crashlens` where none is named.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// Only dumps whose name has this word in it.
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
}

/// Bytes that both are asked for in one go.
const STEP: u64 = 4096;
/// Bytes of one segment that are compared at most.
const MOST: u64 = 1 << 20;
/// Bytes from address 0 on that are compared of a file without segments.
const FRONT: u64 = 64 * STEP;

/// A segment by `readelf`: physical address, bytes in the file, bytes of memory.
struct Load {
    phys: u64,
    file_len: u64,
    mem_len: u64,
}

/// What both said of the bytes of one dump.
#[derive(Default)]
struct Count {
    same: u64,
    /// Zeros there where the file has no data, missing here.
    filled: u64,
    only_there: u64,
    only_here: u64,
    different: u64,
}

/// Compares all dumps; an error where a byte differs, or is read there only.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    if !installed("readelf") {
        return other("readelf is not there: install binutils");
    }
    if !args.tests.join("dumpdata").is_file() {
        return other(
            "dumpdata is not in that folder: it is tests of a libkdumpfile in which `make check` has run",
        );
    }
    let program = args.program.clone().unwrap_or_else(|| root().join("target/release/crashlens"));
    let (mut read, mut empty, mut refused, mut bad) = (0, 0, 0, 0);
    for (name, files) in dumps(&args.tests)? {
        if args.only.as_ref().is_some_and(|word| !name.contains(word)) {
            continue;
        }
        let opened = said(command(&program.to_string_lossy(), ["--json", "info"]).args(&files))?;
        let opened: Value = serde_json::from_slice(&opened).unwrap_or(Value::Null);
        if let Some(why) = opened.get("error").and_then(Value::as_str) {
            refused += 1;
            answer(format_args!("{name}: refused: {why}"))?;
            continue;
        }
        let count = compare(&args.tests, &program, &files)?;
        let Count { same, filled, only_there, only_here, different } = count;
        bad += u64::from(different + only_there > 0);
        *(if same > 0 { &mut read } else { &mut empty }) += 1;
        answer(format_args!(
            "{name}: {same} same, {different} different, {only_there} only there, {only_here} only here, {filled} filled \
             with zeros there"
        ))?;
    }
    answer(format_args!("{read} dumps read, {empty} without memory, {refused} refused, {bad} bad"))?;
    if bad > 0 || read == 0 { other("not all bytes are the same") } else { Ok(()) }
}

/// The dumps by name: a file `NAME.dump`, all files `NAME.dump.N` of a set, and each of those alone.
fn dumps(tests: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, Error> {
    let folder = tests.join("out");
    let mut all: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(&folder).at(&folder)? {
        let path = entry.at(&folder)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((_, part)) = name.rsplit_once(".dump") else { continue };
        let is_part = part.strip_prefix('.').is_some_and(|n| n.parse::<u32>().is_ok());
        if is_part {
            let set = name.trim_end_matches(part).to_owned();
            all.entry(set).or_default().push(path.clone());
        }
        if is_part || part.is_empty() {
            all.insert(name, vec![path]);
        }
    }
    all.values_mut().for_each(|files| files.sort());
    Ok(all)
}

fn compare(tests: &Path, program: &Path, files: &[PathBuf]) -> Result<Count, Error> {
    let loads = files.first().map_or(Ok(Vec::new()), |file| loads(file))?;
    let mut count = Count::default();
    for page in pages(&loads) {
        let (there, here) = (there(tests, files, page)?, here(program, files, page)?);
        for at in page..page.saturating_add(STEP) {
            let in_file = loads.is_empty() || loads.iter().any(|l| l.phys <= at && at - l.phys < l.file_len);
            match (there.get(&at), here.get(&at)) {
                (Some(a), Some(b)) if a == b => count.same += 1,
                (Some(_), Some(_)) => count.different += 1,
                (Some(0), None) if !in_file => count.filled += 1,
                (Some(_), None) => count.only_there += 1,
                (None, Some(_)) => count.only_here += 1,
                (None, None) => {}
            }
        }
    }
    Ok(count)
}

/// The pages that are compared: those of segments, with one before and two behind; the first ones of other files.
fn pages(loads: &[Load]) -> Vec<u64> {
    let around = |load: &Load| {
        let first = load.phys.saturating_sub(STEP) / STEP;
        let end = load.phys.saturating_add(load.mem_len.min(MOST)).div_ceil(STEP).saturating_add(2);
        first..end
    };
    let mut all: Vec<u64> = loads.iter().flat_map(around).collect();
    if loads.is_empty() {
        all.extend(0..FRONT / STEP);
    }
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|page| page.saturating_mul(STEP)).collect()
}

fn loads(file: &Path) -> Result<Vec<Load>, Error> {
    let out = said(command("readelf", ["-lW"]).arg(file))?;
    let load = |line: &str| {
        let mut words = line.split_whitespace();
        if words.next() != Some("LOAD") {
            return None;
        }
        let phys = number(words.nth(2)?)?;
        Some(Load { phys, file_len: number(words.next()?)?, mem_len: number(words.next()?)? })
    };
    Ok(String::from_utf8_lossy(&out).lines().filter_map(load).collect())
}

/// A number in hex behind `0x`.
fn number(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

/// What libkdumpfile reads in a page: `??` is a byte that it does not.
fn there(tests: &Path, files: &[PathBuf], page: u64) -> Result<BTreeMap<u64, u8>, Error> {
    let mut dumpdata = command(&tests.join("dumpdata").to_string_lossy(), ["-n", &files.len().to_string()]);
    let out = said(dumpdata.args(files).args([format!("{page:#x}"), STEP.to_string()]))?;
    let text = String::from_utf8_lossy(&out);
    let bytes = (page..).zip(text.split_whitespace());
    Ok(bytes.filter_map(|(at, word)| Some((at, u8::from_str_radix(word, 16).ok()?))).collect())
}

/// What crashlens reads there.
fn here(program: &Path, files: &[PathBuf], page: u64) -> Result<BTreeMap<u64, u8>, Error> {
    let mut rd = command(&program.to_string_lossy(), ["--json", "rd", "-p", "-8"]);
    let out = said(rd.args([format!("{page:#x}"), STEP.to_string()]).args(files))?;
    let report: Value = serde_json::from_slice(&out).unwrap_or(Value::Null);
    let number = |value: &Value| number(value.as_str()?);
    let mut all = BTreeMap::new();
    for row in report.pointer("/data/memory").and_then(Value::as_array).into_iter().flatten() {
        let (Some(at), Some(values)) =
            (row.get("address").and_then(number), row.get("values").and_then(Value::as_array))
        else {
            continue;
        };
        let bytes = (at..).zip(values);
        all.extend(bytes.filter_map(|(at, value)| Some((at, u8::try_from(number(value)?).ok()?))));
    }
    Ok(all)
}
