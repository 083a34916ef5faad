//! The commands of crashlens. A command is one file (or folder) with its name, its arguments as a type, examples
//! and a `run` that returns data ([`Run`]); it prints nothing. To add one: write the file, add a line to
//! [`COMMANDS`]. Help, completion, man page and JSON follow from its arguments and its report.

pub use base::Cancelled;

mod cmd;
mod engine;
mod show;

pub use cmd::tasks::foreach::{KINDS as TASK_KINDS, STATES as TASK_STATES};
pub use cmd::tasks::set::PRINT_SETTINGS;
pub use engine::aliases::{Alias, Aliases, Origin};
pub use engine::command::{Command, Example, Parsed, Run, after_options, respelled};
pub use engine::cx::Cx;
pub use engine::cx::Layer;
pub use engine::dispatch::{
    all, complete_names, debug_files, expand_alias, find, is_command, name_of, names_no_place, run,
    words_debug_files,
};
pub use engine::error::{CommandError, Message, Reason, WITHOUT_KERNEL};
pub use engine::gdb::How;
pub use engine::help::page as help_page;
pub use engine::line::{Action, LineError, Redirect, parse as parse_line, unquoted, words as split_words};
pub use engine::macros::{Draft, Macro, Macros, Step, condition, with_arguments};
pub use engine::outputs::of as example_output;
pub use engine::own::{Call, Given, Own, OwnArg, Takes, add};
pub use engine::settings::{Edit, ErrorsTo, Listed, Scroll, Settings, VARIABLES, Variable};
pub use engine::whole::{parts, whole};
pub use engine::writes::{Writes, line_writes, words_write};
pub use show::when::{date, duration, memory};

/// Every command, in the order of the help screen.
pub const COMMANDS: &[&dyn Command] = &[
    &cmd::data::structs::Struct { word: "*" },
    &engine::aliases::AliasCommand,
    &cmd::program::ascii::Ascii,
    &cmd::stack::bt::Bt,
    &cmd::memory::bytes_pages::Btop,
    &cmd::devices::dev::Dev,
    &cmd::devices::sbitmapq::Sbitmapq,
    &cmd::code::bpf::Bpf,
    &cmd::program::macros::Define,
    &cmd::code::dis::Dis,
    &cmd::program::macros::Document,
    &cmd::program::macros::Echo,
    &cmd::program::eval::Eval,
    &cmd::program::meta::Exit,
    &cmd::program::meta::Extend,
    &cmd::program::meta::Gdb,
    &cmd::stack::frame::Step { word: "down" },
    &cmd::stack::frame::Frame,
    &cmd::stack::frame::Step { word: "up" },
    &engine::help::Help,
    &cmd::memory::bytes_pages::Ptob,
    &cmd::program::repeat::Repeat,
    &cmd::program::rustfilt::Rustfilt,
    &cmd::tasks::set::Set,
    &cmd::program::meta::Wr,
    &cmd::machine::log::Log,
    &cmd::data::print::Print,
    &cmd::data::printf::Printf,
    &cmd::data::examine::Examine,
    &cmd::tasks::ipcs::Ipcs,
    &cmd::tasks::ps::Ps,
    &cmd::tasks::runq::Runq,
    &cmd::tasks::sig::Sig,
    &cmd::machine::sys::Sys,
    &cmd::code::sym::Sym,
    &cmd::machine::modules::Mod,
    &cmd::memory::rd::Rd,
    &cmd::memory::vtop::Vtop,
    &cmd::memory::pte::Pte,
    &cmd::memory::ptov::Ptov,
    &cmd::data::structs::Struct { word: "struct" },
    &cmd::data::structs::Struct { word: "union" },
    &cmd::data::whatis::Whatis,
    &cmd::data::list::List,
    &cmd::data::tree::Tree,
    &cmd::memory::search::Search,
    &cmd::tasks::waitq::Waitq,
    &cmd::tasks::task::TaskCommand,
    &cmd::tasks::foreach::Foreach,
    &cmd::tasks::gcore::Gcore,
    &cmd::memory::kmem::Kmem,
    &cmd::fs::files::Files,
    &cmd::fs::fuser::Fuser,
    &cmd::fs::mount::MountCommand,
    &cmd::memory::swap::Swap,
    &cmd::memory::vm::Vm,
    &cmd::machine::irq::Irq,
    &cmd::machine::mach::Mach,
    &cmd::machine::timer::Timer,
    &cmd::machine::trace::Trace,
    &cmd::net::Net,
    &cmd::stack::stacks::Stacks,
    &cmd::stack::pstack::Pstack,
    &cmd::tasks::locks::Locks,
    &cmd::tasks::wq::Wq,
    &cmd::devices::inflight::Inflight,
    &cmd::memory::meminfo::Meminfo,
    &cmd::fs::dentries::Dentries,
    &cmd::machine::info::Info,
    &cmd::machine::debuginfo::DebugInfo,
    &cmd::program::bugreport::BugReport,
    &cmd::machine::verdict::VerdictCommand,
    &cmd::program::meta::Quit,
];
