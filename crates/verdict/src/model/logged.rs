//! What a log's report shows, of which there is no dump to look at.

use super::Place;

/// The call trace and the registers of a report.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Logged {
    /// The call trace, innermost first.
    pub trace: Vec<TraceRow>,
    /// Registers by their names in lower case.
    pub registers: Vec<(String, u64)>,
}

/// A function of a call trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TraceRow {
    /// Where; of an inlined function its name, file and line.
    pub place: Place,
    /// It was inlined into the next that is not.
    pub is_inlined: bool,
    /// The kernel marks it as one that may be left of an earlier call.
    pub is_guess: bool,
}
