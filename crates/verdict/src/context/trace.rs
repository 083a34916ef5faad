//! Of a log, what a dump shows by `bt`: the call trace with lines and inlined functions, and the registers.

use crate::case::Case;
use crate::model::{Logged, Place, TraceRow};
use crate::victim::fault_frame;
use base::VirtAddr;
use unwind::{Frame, How};

/// No report has more.
const MAX_ROWS: usize = 128;

/// The trace and the registers of a log's report; nothing where there is a dump.
pub(crate) fn of(case: &Case<'_>) -> Option<Logged> {
    let event = case.event.as_ref().filter(|_| case.s.is_log())?;
    // the instruction itself stands before the trace, unless it is within
    let first = case.victim.frames().first().filter(|first| first.how == How::Start);
    let entries = case.s.logged_entries(event);
    let trace =
        first.into_iter().chain(&entries).flat_map(|frame| rows(case, frame)).take(MAX_ROWS).collect();
    Some(Logged { trace, registers: event.oops.registers.clone() })
}

/// A frame: the functions that were inlined there, innermost first, then its own.
fn rows(case: &Case<'_>, frame: &Frame) -> Vec<TraceRow> {
    let s = case.s;
    let is_guess = frame.how.is_guess();
    let place = match frame.is_call {
        true => fault_frame::place_of_return(s, frame),
        false => fault_frame::place(s, frame.pc),
    };
    let address = if s.is_placed(VirtAddr(place.address)) { place.address } else { 0 };
    let row = |place: Place, is_inlined: bool| TraceRow { place, is_inlined, is_guess };
    let all = s.inline_frames(frame.lookup());
    let mut out = Vec::new();
    for code in all.iter().filter(|code| code.inlined && !is_guess) {
        let line = code.line.as_ref();
        let place = Place {
            function: code.function.to_string(),
            file: line.map(|line| line.file.to_string()),
            line: line.map(|line| line.line),
            ..Place::default()
        };
        out.push(row(place, true));
    }
    let own = all.iter().find(|code| !code.inlined).and_then(|code| code.line.as_ref());
    let (file, line) =
        own.map_or((place.file.clone(), place.line), |own| (Some(own.file.to_string()), Some(own.line)));
    out.push(row(Place { address, file, line, inlined: None, ..place }, false));
    out
}
