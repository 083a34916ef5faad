//! Who maintains a file, by the tree's MAINTAINERS.
//!
//! Source of the facts: MAINTAINERS' own head, and scripts/get_maintainer.pl: `F:` patterns (a folder ends in `/` and has all that
//! is below it; `*` and `?` stand for what is within one name), `X:` those that are left out again, `N:` a regular expression.

use regex_lite::Regex;

/// A section that a file belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Maintained {
    /// Its head.
    pub section: String,
    /// `M:`
    pub maintainers: Vec<String>,
    /// `R:`
    pub reviewers: Vec<String>,
    /// `L:`, without the words behind the address.
    pub lists: Vec<String>,
}

/// The sections of a tree.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Maintainers(Vec<Section>);

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Section {
    about: Maintained,
    files: Vec<String>,
    not: Vec<String>,
    names: Vec<String>,
}

impl Maintainers {
    /// Reads MAINTAINERS' text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut out: Vec<Section> = Vec::new();
        let mut head = "";
        for line in text.lines() {
            let field = line.split_once(':').filter(|(letter, _)| letter.len() == 1);
            let Some((letter, value)) = field else {
                head = if line.trim().is_empty() { "" } else { line };
                continue;
            };
            if !head.is_empty() {
                out.push(Section {
                    about: Maintained { section: head.to_owned(), ..Maintained::default() },
                    ..Section::default()
                });
                head = "";
            }
            let Some(section) = out.last_mut() else { continue };
            let value = value.trim().to_owned();
            let address = || value.split_whitespace().next().unwrap_or_default().to_owned();
            match letter {
                "M" => section.about.maintainers.push(value),
                "R" => section.about.reviewers.push(value),
                "L" => section.about.lists.push(address()),
                "F" => section.files.push(value),
                "X" => section.not.push(value),
                "N" => section.names.push(value),
                _ => {}
            }
        }
        Self(out)
    }
}

/// The sections that a file belongs to, the closest first.
#[must_use]
pub fn maintainers(all: &Maintainers, file: &str) -> Vec<Maintained> {
    let mut found: Vec<(usize, &Section)> =
        all.0.iter().filter_map(|section| Some((section.depth(file)?, section))).collect();
    found.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
    found.into_iter().map(|(_, section)| section.about.clone()).collect()
}

impl Section {
    /// How close it is to a file; `None` where the file is not its.
    fn depth(&self, file: &str) -> Option<usize> {
        if self.not.iter().any(|pattern| fits(pattern, file).is_some()) {
            return None;
        }
        let by_file = self.files.iter().filter_map(|pattern| fits(pattern, file)).max();
        let named = || self.names.iter().any(|name| Regex::new(name).is_ok_and(|name| name.is_match(file)));
        by_file.or_else(|| named().then_some(1))
    }
}

/// How close a pattern is to a file: the number of its parts, more where it names the file.
fn fits(pattern: &str, file: &str) -> Option<usize> {
    let depth =
        pattern.trim_end_matches('/').split('/').filter(|part| !part.is_empty() && *part != "*").count();
    // all files, `THE REST`
    if pattern == "*" || pattern == "*/" {
        return Some(0);
    }
    let parts: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
    let of_file: Vec<&str> = file.split('/').collect();
    let is_whole = parts.len() == of_file.len();
    // a folder is also named without its last sign
    let is_folder = parts.len() < of_file.len()
        && (pattern.ends_with('/') || !pattern.contains('*') && !pattern.contains('.'));
    let fits = parts.iter().zip(&of_file).all(|(part, name)| glob(part.as_bytes(), name.as_bytes()));
    (fits && (is_whole && !pattern.ends_with('/') || is_folder))
        .then(|| depth.saturating_mul(2).saturating_add(usize::from(is_whole)))
}

/// `*` for any signs, `?` for one.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p = p.saturating_add(1);
            }
            Some(sign) if *sign == b'?' || Some(sign) == name.get(n) => {
                (p, n) = (p.saturating_add(1), n.saturating_add(1));
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from.saturating_add(1)));
                (p, n) = (at.saturating_add(1), from.saturating_add(1));
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|sign| *sign == b'*'))
}
