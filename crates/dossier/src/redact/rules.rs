//! The shapes of text in which the kernel shows what is of the machine or its users. Source of the facts: the format strings of
//! the kernel's messages, from 3.10 on; each row names the messages that it is of.

use crate::class::Class;

/// A pattern: the group of it that is replaced, and what stands there then.
pub(super) struct Rule {
    pub(super) class: Class,
    /// What a text has to contain for the pattern to be tried: searching for it is cheap.
    pub(super) needs: &'static str,
    pub(super) pattern: &'static str,
    pub(super) group: usize,
    pub(super) instead: &'static str,
}

/// What names a process, where it need not be among the tasks any more.
pub(super) const PROCESS: &str = "[process]";
/// A file or folder.
pub(super) const PATH: &str = "[path]";
/// A machine.
pub(super) const HOST: &str = "[host]";
/// Somebody.
pub(super) const USER: &str = "[user]";

/// A part of a host's name that others share.
pub(super) const DOMAIN: &str = "[domain]";
/// What stands for names that count in any case.
pub(super) const ANY_CASE: &[&str] = &[HOST, DOMAIN, USER];

const NET: &str = "[network address]";
const TEXT: &str = "[text]";
const LABEL: &str = "[name]";

const fn rule(
    class: Class,
    needs: &'static str,
    pattern: &'static str,
    group: usize,
    instead: &'static str,
) -> Rule {
    Rule { class, needs, pattern, group, instead }
}

const fn process(needs: &'static str, pattern: &'static str) -> Rule {
    rule(Class::Names, needs, pattern, 1, PROCESS)
}

const fn name(needs: &'static str, pattern: &'static str, instead: &'static str) -> Rule {
    rule(Class::Names, needs, pattern, 1, instead)
}

/// Where a message begins: a quoted one stands behind its time, or behind words of ours.
macro_rules! begin {
    ($rest:literal) => {
        concat!(r"(?:^|\] |: |, )", $rest)
    };
}

/// In this order: whole texts, names at known places, then what looks like a name wherever it stands.
pub(super) const RULES: &[Rule] = &[
    rule(
        Class::CommandLines,
        "ommand line",
        r"(?i)command line(?: parameters)?:? (.*)$",
        1,
        "[command line]",
    ),
    rule(
        Class::CommandLines,
        "user-space",
        r"(?i)user-space, and will be passed to .*:(.*)$",
        1,
        " [command line]",
    ),
    rule(Class::CommandLines, " as init process", r"(?i)Run (\S+) as init process", 1, PATH),
    rule(Class::Environment, "=", r"^\s*([A-Z_][A-Z0-9_]*=.*)$", 1, "[environment]"),
    rule(Class::UserData, "audit", r"audit(?:\(|: )(.*)$", 1, "[audit record]"),
    rule(Class::UserData, "Code: ", r"Code: (.*)$", 1, "[code]"),
    // a rule of the firewall puts any words before its packet
    rule(Class::UserData, " OUT=", begin!(r"(.*?)IN=\S* OUT="), 1, TEXT),
    rule(Class::UserData, " ", r"(?i)\b((?:[0-9a-f]{2} {1,2}){7,}[0-9a-f]{2}\b.*)$", 1, "[bytes]"),
    rule(Class::UserData, " ", r"(?i)\b((?:[0-9a-f]{8} {1,2}){3,}[0-9a-f]{8}\b.*)$", 1, "[bytes]"),
    // reports: their head, tasks and lockups
    process("Comm: ", r"Comm: (.+?)(?: Kdump: | Not tainted| Tainted: |$)"),
    process("! [", r"! \[(.+):\d+\]\s*$"),
    process("task ", r"\btask (\S.*?):\d+ (?:blocked|is blocked|<)"),
    process("task ", r"\btask (\S+):\d+"),
    process("task:", r"\btask:(.+?)\s+state:"),
    process(
        "0x",
        begin!(
            r"(\S.{0,14}?)\s+[RSDTtXZPIKWN?]\s+(?:running task|[0-9a-f]{16}|\(null\))?\s+\d+\s+\d+\s+\d+\s+0x"
        ),
    ),
    process("by task ", r"\bby task (.+)/\d+"),
    process("name: ", r"pid: \d+, name: (.+)$"),
    process("while atomic: ", r"scheduling while atomic: (.+)/\d+/0x"),
    process("code: ", r"\bcode: (.+)/\d+"),
    process("held by ", r"locks? held by (.+)/\d+"),
    process(
        "/",
        begin!(
            r"([^/]+(?:/[^/]*)?)/\d+ (?:is trying to|is freeing|is leaving|still has locks|just changed|was just|is exiting|got)"
        ),
    ),
    process("still has locks", r"BUG: (.+)/\d+ still has locks"),
    process("in process ", r"in process (.+?)\s+pfn:"),
    process("note: ", r"note: (.+)\[\d+\] exited"),
    process("pid: ", r"Process (.+) \(pid: \d+"),
    process("rocess ", r"(?i)\bprocess \d+ \((.+)\)"),
    process(" took a ", r"#(?:AC|DB): (.+)/\d+ took a "),
    process("PAT: ", r"PAT: (.+?):\d+ "),
    // memory
    process("invoked oom-killer", begin!(r"(.+) invoked oom-killer")),
    process("page allocation ", begin!(r"(.+?): page allocation (?:failure|stalls)")),
    process("vmalloc error", begin!(r"(.+?): vmalloc error")),
    process("task=", r"\btask=(.+?),pid="),
    process("]", r"^\[\s*\d+\](?:\s+-?\d+){5,}\s+(\S.*)$"),
    name("cpuset=", r"\bcpuset=(.+?),?(?: mems_allowed=|mems_allowed=|$)", PATH),
    name("_memcg=", r"\b(?:oom|task)_memcg=(.+?)(?:,task_memcg=|,task=|$)", PATH),
    name("emory cgroup", r"[Mm]emory cgroup stats(?: for)? ?(/\S*):", PATH),
    // signals, deprecated calls, what a process did
    process(
        "[",
        begin!(
            r"(?:traps: |show_signal_msg: )?(\S.{0,15}?)\[\d+\]:? (?:trap|general protection|segfault|bad frame|unhandled|undefined|vsyscall|syscall|invalid|potentially|cp|control|attempted|uses|bus|\w+ fault)"
        ),
    ),
    process("]: ", r"^(?:traps: )?(\S.{0,15}?)\[\d+\]: "),
    name(" in ", r"(?:error:?\s?[0-9a-f]+|fault) in (.+?)\[[0-9a-f]+\+", PATH),
    process("fatal signal", begin!(r"(.+?)(?:/\d+|\[\d+\])?: potentially unexpected fatal signal")),
    process(
        " (",
        begin!(
            r"([^\s:][^:]{0,14}?) ?\(\d+\):? (?:drop_caches|\w*uses |used |undefined|is using|called|possible|attempted|changed|made|/proc)"
        ),
    ),
    process("): ", r"^(\S.{0,14}?) ?\(\d+\): "),
    process("urandom", r"random: (.+?): uninitialized"),
    process("ockdown: ", r"[Ll]ockdown: (.+?): "),
    process("beyond end of device", begin!(r"(.+?): attempt to access beyond end of device")),
    process("comm ", r"\bcomm (.+?)(?:: |, |$)"),
    process("coredump: ", r"coredump: \d+\((.+)\):"),
    process("over core_pipe_limit", r"Pid \d+\((.+)\) over"),
    process("wireless ext", begin!(r"(.+?) uses wireless ext")),
    process("scanned by ", r"scanned by (.+?)(?: \(\d+\))?$"),
    process("program ", r"\bprogram (.+?) is using"),
    // file systems
    name("device label ", r"device label (.+?) devid \d+", LABEL),
    name("fsid=", r"\bfsid=(\S+?)(?:\.\d+)?:? ", LABEL),
    name("olume", r"(?i)volume(?: label)?:? '(.*?)'", LABEL),
    name("readdir loop", r"directory (.+) contains a readdir loop", PATH),
    name("duplicate cookie", r"The file: (.+) has duplicate cookie", PATH),
    name("drbd ", begin!(r"drbd (.+?): "), LABEL),
    name("dlm: ", begin!(r"dlm: (\S+?): "), LABEL),
    // other machines
    name(
        "erver",
        begin!(r"(?i)(?:nfs4?|lockd|rpcbind|rpc|cifs|smb3?|afs|kafs|ncpfs|nlm)\b.*?\bserver:? ([^\s,:]+)"),
        HOST,
    ),
    name("monitor ", r"lockd: cannot (?:un)?monitor (\S+)", HOST),
    name("o2net: ", r"o2net: .*?\bnode (\S+) \(num", HOST),
    name(
        "=",
        r"(?i)\b(?:host|hostname|domain|nis-domain|bootserver|rootserver|rootpath|nfsaddrs|unc|user|username|pass|password|cred|ip|addr)=([^,\s]+)",
        LABEL,
    ),
    name("", r"(?i)\bhostname(?: is| set to)?:? <?([\w.-]+)", HOST),
    name("ssid", r"(?i)\bssid[=: ]+(\S+)", LABEL),
    name("iqn.", r"\b(iqn\.[^\s,]+)", LABEL),
    name("nqn.", r"\b(nqn\.[^\s,]+)", LABEL),
    name("", r"\b((?:naa|eui|uuid)\.[0-9A-Fa-f-]{8,})", LABEL),
    name("ww", r"(?i)\bwwp?n[:= ]+(\S+)", LABEL),
    name(r"\\", r"(\\{2,4}[^\\\s]+(?:\\[^\s:,]*)*)", PATH),
    name("@", r"\b([\w.+-]+@[\w-][\w.-]*)", USER),
    // what people call their devices
    name("input: ", begin!(r"input: (.+) as /"), LABEL),
    name("hid", r"\bhid.* \[(.+?)\] on ", LABEL),
    name(
        "erial",
        r"(?i)\bserial ?(?:number|no\.?|num)?(?:: ?|=| )([^\s,/]*\d[^\s,/]*)(?:$|[\s,])",
        "[serial number]",
    ),
    // what is quoted
    rule(Class::UserData, "\"", r#""([^"]*)""#, 1, TEXT),
    rule(Class::UserData, "'", r"(?:^|[\s(=:,\[])'([^']*)'", 1, TEXT),
    rule(Class::UserData, "`", r"`([^'`]*)['`]", 1, TEXT),
    // forms that need no words around them
    rule(Class::Names, "-", r"(?i)\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", 0, "[uuid]"),
    rule(Class::Names, "", r"(?i)\b(?:[0-9a-f]{2}[:-]){5,}[0-9a-f]{2}\b", 0, NET),
    rule(Class::Names, ".", r"\b\d{1,3}(?:\.\d{1,3}){3}\b", 0, NET),
    rule(Class::Names, ":", r"(?i)\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b", 0, NET),
    rule(
        Class::Names,
        "::",
        r"(?i)\b(?:[0-9a-f]{1,4}:)*[0-9a-f]{1,4}::(?:(?:[0-9a-f]{1,4}:)*[0-9a-f]{1,4}\b)?",
        0,
        NET,
    ),
    rule(Class::Names, ":/", r"\b[A-Za-z0-9][\w.-]*:/[^/\s][^\s,;)\]]*", 0, PATH),
    rule(Class::Names, "/", r#"(?:^|[\s"'=(\[,:<|])(/{1,2}[A-Za-z0-9_.@%+~-][^\s"'),;\]>]*)"#, 1, PATH),
    rule(Class::Names, ".", r"(?i)\b[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+\.[a-z]{2,}\b", 0, HOST),
    rule(Class::Addresses, "0x", r"\b0x0*[1-9a-fA-F][0-9a-fA-F]{5,}\b", 0, "[address]"),
    rule(Class::Addresses, "", r"\b[0-9a-fA-F]{12,}\b", 0, "[address]"),
    // a register holds an address or anything else
    rule(Class::UserData, "0x", r"\b0x0*[1-9a-fA-F][0-9a-fA-F]{5,}\b", 0, "[value]"),
    rule(Class::UserData, "", r"\b[0-9a-fA-F]{12,}\b", 0, "[value]"),
];

/// Words that the kernel's own messages are full of: a process of that name is replaced where a message names a process, and not
/// wherever the word stands. So is a name of one or two letters, or of digits.
pub(super) const COMMON: &[&str] = &[
    "kernel",
    "page",
    "fault",
    "task",
    "process",
    "mem",
    "memory",
    "not",
    "code",
    "error",
    "address",
    "usable",
    "reserved",
    "bug",
    "BUG",
    "lock",
    "cpu",
    "CPU",
    "read",
    "write",
    "for",
    "the",
    "and",
    "Comm",
    "Call",
    "Trace",
    "unable",
    "handle",
    "killed",
    "done",
    "enabled",
    "disabled",
    "registered",
    "type",
    "device",
    "driver",
    "panic",
    "NULL",
    "pointer",
    "pid",
    "PID",
];

/// How the names of the kernel's own threads begin, also of those that have ended.
const KERNEL_THREADS: &[&str] =
    &["swapper/", "kworker/", "ksoftirqd/", "migration/", "cpuhp/", "kswapd", "rcu_", "kthreadd"];

/// Processes whose names are the same on every machine.
const EVERYWHERE: &[&str] = &["init"];

/// True for the name of a process that tells nothing of the machine.
pub(super) fn is_everywhere(name: &str) -> bool {
    EVERYWHERE.contains(&name) || KERNEL_THREADS.iter().any(|start| name.starts_with(start))
}

/// True for a name that is looked for wherever it stands.
pub(super) fn is_a_word_of_its_own(name: &str) -> bool {
    name.len() > 2 && !name.chars().all(|c| c.is_ascii_digit()) && !COMMON.contains(&name)
}
