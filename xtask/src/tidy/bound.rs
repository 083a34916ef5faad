//! Members that `bind!` binds and nobody reads.
//!
//! The compiler tells those of private structs; this tells those of public ones: a member `name` is unread where no file has
//! `.name`. One that shares its name with a member that is read goes unseen.

use std::collections::BTreeSet;

use super::Finding;

/// A file: its path and its text.
pub(crate) type File = (String, String);

/// The members without a reader.
pub(crate) fn unread(files: &[File]) -> Vec<Finding> {
    let mut read = BTreeSet::new();
    for (_, text) in files {
        read.extend(code(text).flat_map(accessed));
    }
    let mut findings = Vec::new();
    for (path, text) in files {
        for (line, member) in bound(text) {
            if !read.contains(member) {
                let what = format!("`{member}` is bound and never read");
                findings.push(Finding::new(format!("{path}:{line}"), what));
            }
        }
    }
    findings
}

/// The lines without their comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code))
}

/// The names behind dots; those in quotes count too, which lets some through.
fn accessed(line: &str) -> impl Iterator<Item = &str> {
    line.split('.').skip(1).map(|rest| rest.split(|c: char| !is_word(c)).next().unwrap_or_default())
}

/// The members that are bound: `name: "path"` within `bind! {` and the `}` that begins a line.
fn bound(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let mut within = false;
    for (number, line) in code(text).enumerate() {
        match line {
            _ if line.trim_end().ends_with("bind! {") => within = true,
            "}" => within = false,
            _ if within => {
                let members = line.match_indices(": \"").filter_map(|(at, _)| {
                    let before = line.get(..at)?;
                    before.rsplit(|c: char| !is_word(c)).next().filter(|name| !name.is_empty())
                });
                out.extend(members.map(|member| (number + 1, member)));
            }
            _ => {}
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_nobody_reads_is_found() {
        let bindings = "bind! {\n    /// `page`\n    struct Page(\"page\") {\n        flags: \"flags\" | \"old\", // 4.6\n        \
                        gone: \"gone\",\n    }\n}\nbind! {\n    struct Two(\"two\") { a: \"x.z\", b: \"b\" }\n}\n";
        let reader = "let at = bound.flags.u64(mem, at)?; // bound.gone\nself.b.ptr(mem, at)";
        let files =
            [("a.rs", bindings), ("b.rs", reader)].map(|(path, text)| (path.to_owned(), text.to_owned()));
        let found: Vec<String> = unread(&files).iter().map(Finding::to_string).collect();
        assert_eq!(found, ["a.rs:5: `gone` is bound and never read", "a.rs:9: `a` is bound and never read"]);
    }
}
