//! What a dump lost, in words.

use crate::model::Lost;
use std::fmt;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lost::Log => f.write_str("a part of the log"),
            Lost::Code(at) => write!(f, "the code around {at:016x}"),
            Lost::Modules => f.write_str("the list of modules"),
            Lost::ModuleName => f.write_str("the name of a module"),
            Lost::Tasks => f.write_str("the list of tasks"),
            Lost::Types => f.write_str("the kernel's types"),
            Lost::ModuleTypes(module) => write!(f, "the types of module {module}"),
            Lost::Taints => f.write_str("the kernel's taints"),
            Lost::ModuleTaints(module) => write!(f, "what module {module} taints"),
            Lost::Release => f.write_str("the kernel's release and version"),
            Lost::Time => f.write_str("the time"),
            Lost::Hardware => f.write_str("the hardware's name"),
            Lost::Stack => f.write_str("a part of the stack"),
            Lost::Syscalls => f.write_str("the table of system calls"),
            Lost::Call => f.write_str("what the system call was given"),
            Lost::Value(name) => write!(f, "the value of {name}"),
            Lost::Object(expr) => write!(f, "a part of {expr}"),
            Lost::CpuStack(cpu) => write!(f, "what CPU {cpu} did"),
            Lost::State(at) => write!(f, "whether the object at {at:016x} was free before"),
            Lost::Past(at) => write!(f, "who allocated and freed the object at {at:016x}"),
            Lost::Waited => f.write_str("for how long tasks have been waiting"),
            Lost::Wait(who) => write!(f, "what {who} waits for"),
        }
    }
}
