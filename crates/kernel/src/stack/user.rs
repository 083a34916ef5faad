//! The stacks of processes in user mode, as far as the dump has their memory.
//!
//! They begin with the registers that the kernel saved when the task entered it. Call frame information (`.eh_frame`) and names
//! come from the files that the process maps, as the page cache has them; a page that is mapped and was not touched yet is read
//! from there too. Where a file says nothing the chain of frame pointers is followed, and a stack ends where only guesses are left.

use crate::error::{KernelError, Result};
use crate::fs::path::{self, FileStruct};
use crate::mm::address_space;
use crate::mm::file_bytes::FileBytes;
use crate::mm::vma::{self, Vma, Vmas};
use crate::sched::task::Task;
use crate::session::Session;
use arch::{Regs, UserMap};
use base::{Fault, FaultKind, VirtAddr, VirtRead};
use debuginfo::cfi::CfiRow;
use debuginfo::process::ObjectOfProcess;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use unwind::{Code, How, Stack, StopReason, Unwinder};

/// `VM_EXEC`
const EXEC: u64 = 4;
/// Bytes of an object file's head.
const HEAD: usize = 64;

/// A frame.
#[derive(Clone, Debug)]
pub struct UserFrame {
    /// Where it is: for a caller, where the call returns to.
    pub pc: VirtAddr,
    /// Its stack pointer.
    pub sp: VirtAddr,
    /// The function, and how far in.
    pub symbol: Option<(String, u64)>,
    /// The file whose code it is, or why its name is not known; none for code of no file.
    pub file: Option<Result<String>>,
    /// Where in the file's own addresses.
    pub in_file: Option<u64>,
    /// True where frame pointers led to it, which a function need not keep.
    pub by_pointer: bool,
}

/// A stack.
#[derive(Clone, Debug)]
pub struct UserStack {
    /// The frames, innermost first.
    pub frames: Vec<UserFrame>,
    /// True where the last one is the outermost of all.
    pub is_whole: bool,
    /// Why there are no more.
    pub stopped: String,
    /// True where the dump lost what would lead on.
    pub is_loss: bool,
    /// What is not known of the files, each file once.
    pub lacks: Vec<String>,
}

/// Files of processes, each read once, and only where a stack needs it.
#[derive(Debug, Default)]
pub struct Files<'s> {
    /// By `struct file`, of which each process has its own.
    all: FxHashMap<VirtAddr, Arc<File<'s>>>,
    /// By inode.
    contents: FxHashMap<VirtAddr, Arc<Content<'s>>>,
}

/// A mapped file.
#[derive(Debug)]
struct File<'s> {
    name: Result<String>,
    content: Result<Arc<Content<'s>>>,
}

/// What is in a file.
#[derive(Debug)]
struct Content<'s> {
    s: &'s Session,
    inode: VirtAddr,
    bytes: OnceLock<Result<FileBytes<'s>>>,
    object: OnceLock<std::result::Result<ObjectOfProcess, String>>,
}

impl<'s> Content<'s> {
    fn bytes(&self) -> &Result<FileBytes<'s>> {
        self.bytes.get_or_init(|| FileBytes::of(self.s, self.inode))
    }
    fn object(&self) -> &std::result::Result<ObjectOfProcess, String> {
        self.object.get_or_init(|| {
            let bytes = self.bytes().as_ref().map_err(ToString::to_string)?;
            // what cannot be read is no reason to call it no object file
            bytes.read_at(0, &mut [0; HEAD]).map_err(|e| format!("its ELF header cannot be read: {e}"))?;
            ObjectOfProcess::read(bytes.clone())
        })
    }
}

impl File<'_> {
    /// The name, for what there is to say of the file.
    fn shown(&self) -> &str {
        self.name.as_deref().unwrap_or("a file without a readable name")
    }
    fn object(&self) -> std::result::Result<&ObjectOfProcess, String> {
        let content = self.content.as_ref().map_err(ToString::to_string)?;
        content.object().as_ref().map_err(Clone::clone)
    }
}

impl<'s> Files<'s> {
    /// The file that is mapped; none for memory of no file.
    fn of(&mut self, s: &'s Session, vma: &Vma) -> Option<Arc<File<'s>>> {
        if vma.file.is_null() {
            return None;
        }
        if let Some(known) = self.all.get(&vma.file) {
            return Some(Arc::clone(known));
        }
        let name = path::of_file(s, vma.file);
        let content = s.bind::<FileStruct>().inode.ptr(s.mem(), vma.file).map(|inode| {
            let new = || Arc::new(Content { s, inode, bytes: OnceLock::new(), object: OnceLock::new() });
            Arc::clone(self.contents.entry(inode).or_insert_with(new))
        });
        let file = Arc::new(File { name, content });
        self.all.insert(vma.file, Arc::clone(&file));
        Some(file)
    }
}

/// The memory of a process, with what its mapped files have where nothing was read in yet.
struct Memory<'a, 's> {
    map: &'a UserMap,
    vmas: &'a Vmas,
    files: Vec<Option<Arc<File<'s>>>>,
    page: u64,
}

impl<'s> Memory<'_, 's> {
    /// The file that is mapped at an address, and the address's place in it.
    fn mapped(&self, at: VirtAddr) -> Option<(&File<'s>, u64)> {
        let mut all = self.vmas.all.iter().zip(&self.files);
        let (vma, file) = all.find(|(vma, _)| vma.start <= at.0 && at.0 < vma.end)?;
        Some((file.as_deref()?, vma.pgoff.checked_mul(self.page)?.checked_add(at.0 - vma.start)?))
    }

    /// Bytes within one page that no page table has, by the file; nothing where there is none, or it has them not.
    fn of_file(&self, at: VirtAddr, buf: &mut [u8]) -> Option<Result<()>> {
        let (file, offset) = self.mapped(at)?;
        let bytes = file.content.as_ref().ok()?.bytes().as_ref().ok()?;
        Some(bytes.read_at(offset, buf))
    }
}

impl VirtRead for Memory<'_, '_> {
    fn read(&self, at: VirtAddr, buf: &mut [u8]) -> std::result::Result<(), Fault> {
        let (mut at, mut rest) = (at, buf);
        while !rest.is_empty() {
            let room = self.page - at.0 % self.page;
            let len = usize::try_from(room).unwrap_or(usize::MAX).min(rest.len());
            let Some((part, after)) = rest.split_at_mut_checked(len) else { break };
            match self.map.read(at, part) {
                Ok(()) => {}
                // what no table maps and a file has was not touched yet; what was swapped out is another matter
                Err(fault @ Fault { kind: FaultKind::NotMapped(_), .. }) => match self.of_file(at, part) {
                    Some(Ok(())) => {}
                    // the file has them in memory, and the dump lost that
                    Some(Err(KernelError::Fault(lost))) if lost.is_missing() => {
                        return Err(Fault::new(at, lost.kind));
                    }
                    Some(Err(_)) | None => return Err(fault),
                },
                Err(fault) => return Err(fault),
            }
            at = at.add(len as u64);
            rest = after;
        }
        Ok(())
    }
}

/// What the unwinder asks about the code of a process.
struct UserCode<'m, 'a, 's> {
    memory: &'m Memory<'a, 's>,
    /// Why frames of a file cannot be unwound by it, by the file's name.
    lacks: RefCell<Vec<String>>,
}

impl<'s> UserCode<'_, '_, 's> {
    /// The file that has the code at an address, and the address by the file.
    fn place(&self, pc: VirtAddr) -> Option<(&File<'s>, u64)> {
        let (file, offset) = self.memory.mapped(pc)?;
        let object = file.object().ok()?;
        // the part that is mapped here has this place of the file
        let own = object.segments.iter().find(|segment| {
            offset.checked_sub(segment.offset).is_some_and(|inside| inside < segment.bytes)
        })?;
        Some((file, own.address.checked_add(offset - own.offset)?))
    }

    fn lack(&self, file: &str, why: &str) {
        let text = format!("{file}: {why}");
        let mut all = self.lacks.borrow_mut();
        if !all.contains(&text) {
            all.push(text);
        }
    }
}

impl Code for UserCode<'_, '_, '_> {
    fn is_text(&self, pc: VirtAddr) -> bool {
        self.memory.vmas.at(pc).is_some_and(|vma| vma.flags & EXEC != 0)
    }
    fn cfi(&self, pc: VirtAddr) -> Option<CfiRow> {
        let (file, _) = self.memory.mapped(pc)?;
        if let Err(why) = file.object() {
            self.lack(file.shown(), &why);
        }
        let (file, address) = self.place(pc)?;
        match file.object().ok()?.row(address) {
            Ok(row) => row,
            Err(why) => {
                self.lack(file.shown(), why);
                None
            }
        }
    }
}

/// The registers of a task in user mode, as the kernel saved them.
fn registers(s: &Session, task: &Task) -> Result<Regs> {
    let found = s.backtrace(task);
    if let Some(user) = found.user {
        return Ok(user);
    }
    let saved = found.unwound.frames.last().and_then(|frame| frame.saved.as_ref()).filter(|saved| saved.user);
    match (saved, found.unwound.stopped) {
        (Some(saved), _) => Ok(saved.regs),
        (None, StopReason::Fault(fault) | StopReason::LostTable(fault)) => Err(fault.into()),
        (None, why) => Err(KernelError::Open(format!("where it entered the kernel is not known: {why}"))),
    }
}

/// The stack of a task in user mode.
///
/// # Errors
/// It has no user memory, or its registers or mappings are not known.
pub fn stack<'s>(s: &'s Session, task: &Task, files: &mut Files<'s>) -> Result<UserStack> {
    let mm = address_space::of_task(s, task)?;
    if mm.is_null() {
        return Err(KernelError::Open(format!("task {} has no user memory", task.pid)));
    }
    let regs = registers(s, task)?;
    let map = address_space::user_memory_of(s, mm)?;
    let vmas = vma::vmas(s, mm)?;
    let own = vmas.all.iter().map(|vma| files.of(s, vma)).collect();
    let memory = Memory { map: &map, vmas: &vmas, files: own, page: s.page_size().max(1) };
    let code = UserCode { memory: &memory, lacks: RefCell::new(Vec::new()) };
    let sp = regs.sp().map(VirtAddr);
    let stack = sp.and_then(|sp| vmas.at(sp)).map(|vma| Stack {
        name: String::new(),
        start: VirtAddr(vma.start),
        end: VirtAddr(vma.end),
    });
    let stacks: Vec<Stack> = stack.into_iter().collect();
    let unwound = Unwinder { arch: s.arch(), code: &code, mem: &memory, stacks: &stacks }.unwind(regs);
    let sure = unwound.frames.iter().take_while(|frame| is_sure(frame.how)).count();
    let guessed = sure < unwound.frames.len();
    let frames = unwound.frames.iter().take(sure).map(|frame| frame_of(&code, frame)).collect();
    let (is_whole, stopped) = match unwound.stopped {
        _ if guessed => (false, "no table says how the next frame is found".to_owned()),
        StopReason::EndOfStack => (true, String::new()),
        StopReason::NothingFound => (false, "no table says how the next frame is found".to_owned()),
        why => (false, why.to_string()),
    };
    let is_loss = !guessed && unwound.stopped.is_loss();
    let mut lacks = code.lacks.into_inner();
    if let Some(e) = &vmas.problem {
        lacks.push(format!("the mappings of the process: {e}"));
    }
    Ok(UserStack { frames, is_whole, stopped, is_loss, lacks })
}

/// True for what tables and the chain of frame pointers lead to.
const fn is_sure(how: How) -> bool {
    matches!(how, How::Start | How::Cfi | How::FramePointer | How::Link)
}

fn frame_of(code: &UserCode<'_, '_, '_>, frame: &unwind::Frame) -> UserFrame {
    let at = frame.lookup();
    let mut out = UserFrame {
        pc: frame.pc,
        sp: frame.sp,
        symbol: None,
        file: code.memory.mapped(at).map(|(file, _)| file.name.clone()),
        in_file: None,
        by_pointer: frame.how == How::FramePointer,
    };
    let Some((file, address)) = code.place(at) else { return out };
    // what is looked up is within the call, and what is shown is behind it
    let behind = u64::from(frame.is_call);
    out.in_file = Some(address.wrapping_add(behind));
    match file.object().map(|object| object.symbol(address)) {
        Ok(Ok(found)) => {
            out.symbol = found.map(|(name, offset)| (name.to_owned(), offset.wrapping_add(behind)));
        }
        Ok(Err(why)) => code.lack(file.shown(), why),
        Err(_) => {}
    }
    out
}
