//! Backtraces as data.

use base::VirtAddr;
use kernel::Session;
use std::fmt;

/// The frames of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Backtrace {
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Why there are no more.
    pub stopped: String,
    /// True where the frames reach the end of the stack: none is missing at that end.
    pub is_whole: bool,
    /// What there is to say of the registers that it began with.
    pub remark: Option<String>,
}

/// A frame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Frame {
    /// The program counter; of a caller the return address.
    pub pc: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The function, where a symbol tells it.
    pub function: Option<String>,
    /// Bytes from the function's start to `pc`; `None` where the function is not known.
    pub offset: Option<u64>,
    /// The module of the function; `None` for the kernel's own.
    pub module: Option<String>,
    /// File and line, where debug information is at hand.
    pub source: Option<(String, u32)>,
    /// True where it was found by a search of the stack, and may be what an earlier call left behind.
    pub is_guess: bool,
}

impl Backtrace {
    pub(crate) fn new(s: &Session, found: &kernel::stack::backtrace::Backtrace) -> Self {
        let unwound = &found.unwound;
        Self {
            frames: unwound.frames.iter().map(|frame| Frame::new(s, frame)).collect(),
            stopped: unwound.stopped.to_string(),
            is_whole: unwound.stopped.is_end(),
            remark: found.remark.clone(),
        }
    }
}

impl Frame {
    fn new(s: &Session, frame: &unwind::Frame) -> Self {
        let at = frame.lookup();
        let place = s.locate(at);
        let start = place.as_ref().map(|place| place.symbol.addr);
        let line = s.source_line(at);
        Self {
            pc: frame.pc.0,
            sp: frame.sp.0,
            function: place.as_ref().map(|place| place.symbol.name.to_owned()),
            offset: start.map(|start: VirtAddr| frame.pc.0.wrapping_sub(start.0)),
            module: place.and_then(|place| place.symbol.module.map(str::to_owned)),
            source: line.filter(|line| line.line > 0).map(|line| (line.file.to_string(), line.line)),
            is_guess: frame.how.is_guess(),
        }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_guess {
            f.write_str("? ")?;
        }
        match (&self.function, self.offset) {
            (Some(function), Some(offset)) => write!(f, "{function}+{offset:#x}")?,
            _ => write!(f, "{:#x}", self.pc)?,
        }
        if let Some(module) = &self.module {
            write!(f, " [{module}]")?;
        }
        match &self.source {
            Some((file, line)) => write!(f, " at {file}:{line}"),
            None => Ok(()),
        }
    }
}
