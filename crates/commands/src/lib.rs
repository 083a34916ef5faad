//! The commands of crashlens. A command is one file (or folder) with its name, arguments, examples
//! and a `run` that returns data; it prints nothing. To add one: write the file, add a line to
//! [`COMMANDS`]. Help, completion, man page and JSON follow from its clap arguments and its report.

mod aliases;
mod command;
mod cx;
mod dispatch;
mod entries;
mod error;
mod line;
mod locals;
mod registers;
mod scope;
mod settings;
mod values;

mod address;
mod ascii;
mod bt;
mod bytes_pages;
mod dis;
mod eval;
mod foreach;
mod frame;
mod gdb;
mod help;
mod info;
mod list;
mod log;
mod meta;
mod modules;
mod place;
mod print;
mod ps;
mod pte;
mod ptov;
mod rd;
mod repeat;
mod search;
mod set;
mod source;
mod structs;
mod sym;
mod sys;
mod task;
mod tasks;
mod tree;
mod verdict;
mod vtop;
mod waitq;
mod whatis;
mod when;

pub use aliases::{Alias, Aliases, Origin};
pub use command::{Command, Example, after_options, respelled};
pub use cx::Cx;
pub use cx::Layer;
pub use dispatch::{complete_names, debug_files, expand_alias, find, is_command, run, words_debug_files};
pub use error::{CommandError, WITHOUT_KERNEL};
pub use help::page as help_page;
pub use line::{Action, LineError, Redirect, parse as parse_line, unquoted, words as split_words};
pub use settings::{Edit, ErrorsTo, Scroll, Settings, VARIABLES, Variable};
pub use source::Listed;
pub use when::date;

/// Every command, in the order of the help screen.
pub const COMMANDS: &[&dyn Command] = &[
    &structs::Struct { word: "*" },
    &aliases::AliasCommand,
    &ascii::Ascii,
    &bt::Bt,
    &bytes_pages::Btop,
    &dis::Dis,
    &eval::Eval,
    &meta::Exit,
    &meta::Extend,
    &meta::Gdb,
    &frame::Frame { word: "down" },
    &frame::Frame { word: "frame" },
    &frame::Frame { word: "up" },
    &help::Help,
    &bytes_pages::Ptob,
    &repeat::Repeat,
    &set::Set,
    &meta::Wr,
    &log::Log,
    &print::Print,
    &ps::Ps,
    &sys::Sys,
    &sym::Sym,
    &modules::Mod,
    &rd::Rd,
    &vtop::Vtop,
    &pte::Pte,
    &ptov::Ptov,
    &structs::Struct { word: "struct" },
    &structs::Struct { word: "union" },
    &whatis::Whatis,
    &list::List,
    &tree::Tree,
    &search::Search,
    &waitq::Waitq,
    &task::TaskCommand,
    &foreach::Foreach,
    &info::Info,
    &verdict::VerdictCommand,
    &meta::Quit,
];
