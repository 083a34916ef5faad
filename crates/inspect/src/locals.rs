//! Parameters and local variables of a frame, as debug information places them.

use base::{VirtAddr, VirtRead};
use cexpr::{Absent, Value};
use debuginfo::dwarf::{Caller, FrameAccess, Location, Unavailable, Variable};
use kernel::Session;
use kernel::debug::DebugFile;
use kernel::stack::backtrace::Backtrace;
use kernel::stack::called::{self, Entered};
use std::sync::Arc;

/// A variable and its value.
pub struct Local {
    /// Its name.
    pub name: String,
    /// True for a parameter.
    pub is_param: bool,
    /// The function that it belongs to, where that was inlined here.
    pub function: Option<String>,
    /// Its value, or why that is not known.
    pub value: Value,
}

/// A frame as location expressions see it, with the frames that called it.
struct View<'a> {
    bt: &'a Backtrace,
    frame: usize,
    mem: &'a dyn VirtRead,
    caller: Option<CalledBy<'a>>,
}

/// The frame whose call entered the function.
struct CalledBy<'a> {
    view: Box<View<'a>>,
    file: Arc<DebugFile>,
    /// The address behind the call.
    ret: VirtAddr,
    /// Of a call by a pointer, what that has to be.
    entered: Option<u64>,
}

impl<'a> View<'a> {
    fn new(s: &'a Session, bt: &'a Backtrace, frame: usize, depth: usize) -> Self {
        let caller = Self::called_by(s, bt, frame, depth);
        Self { bt, frame, mem: s.mem(), caller }
    }

    /// The next frame, where its call is one of the frame's function: what another was given says nothing.
    fn called_by(s: &'a Session, bt: &'a Backtrace, frame: usize, depth: usize) -> Option<CalledBy<'a>> {
        let frames = &bt.unwound.frames;
        let (own, next) = (frames.get(frame)?, frames.get(frame + 1).filter(|_| depth < 4)?);
        let entry = called::entry_of(s, own.lookup())?;
        let entered = match called::entered(s, entry, next)? {
            Entered::Directly => None,
            Entered::ByPointer => Some(entry.0),
        };
        let file = s.debug_at(next.lookup())?;
        let view = Box::new(View::new(s, bt, frame + 1, depth + 1));
        Some(CalledBy { view, file, ret: next.pc, entered })
    }
}

impl FrameAccess for View<'_> {
    fn register(&self, number: u16) -> Option<u64> {
        self.bt.unwound.frames.get(self.frame)?.regs.get(usize::from(number))
    }
    fn cfa(&self) -> Option<u64> {
        self.bt.unwound.frames.get(self.frame)?.cfa.map(|at| at.0)
    }
    fn memory(&self) -> &dyn VirtRead {
        self.mem
    }
    fn caller(&self) -> Option<Caller<'_>> {
        let CalledBy { view, file, ret, entered } = self.caller.as_ref()?;
        let dwarf = file.dwarf.as_deref()?;
        Some(Caller { frame: &**view, return_address: ret.0, dwarf, entered: *entered })
    }
}

/// The variables in scope in a frame, those of inlined calls included.
pub fn values(s: &Session, bt: &Backtrace, frame: usize) -> Vec<Local> {
    let Some(at) = bt.unwound.frames.get(frame).map(unwind::Frame::lookup) else { return Vec::new() };
    let Some(file) = s.debug_at(at) else { return Vec::new() };
    let Some(dwarf) = file.dwarf.as_deref() else { return Vec::new() };
    let inlined = s.inline_frames(at);
    let view = View::new(s, bt, frame, 0);
    s.variables_at(at)
        .into_iter()
        .map(|v| Local {
            name: v.name.to_string(),
            is_param: v.is_param,
            function: inlined.get(v.frame).filter(|f| f.inlined).map(|f| f.function.to_string()),
            value: value(s, &v, dwarf.evaluate(&v, &view)),
        })
        .collect()
}

fn value(s: &Session, v: &Variable, location: Location) -> Value {
    let absent = |why: Unavailable| Value::absent(v.ty, Absent::Because(why.to_string().into()));
    match location {
        Location::Address(at) => Value::memory(v.ty, VirtAddr(at)),
        Location::Unavailable(why) => absent(why),
        other => {
            let size = s.types().size_of(v.ty).unwrap_or(8).min(1 << 16);
            match other.bytes(usize::try_from(size).unwrap_or(8), s.mem()) {
                Ok(bytes) => Value::immediate(v.ty, bytes),
                Err(why) => absent(why),
            }
        }
    }
}
