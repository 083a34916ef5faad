//! Which crate may use which: the list in ARCHITECTURE.md against `cargo metadata`.
//!
//! The list is the fenced block that starts with ```` ```edges ````, a line a crate: `crate: lower lower`. Development
//! dependencies are free but for the rule that only they may name `testkit`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Finding;
use crate::run::{Error, other};

/// For each crate, by its short name, those it uses.
pub(crate) type Edges = BTreeMap<String, BTreeSet<String>>;

/// Reads the list.
pub(crate) fn allowed(page: &str) -> Result<Edges, Error> {
    let block = page.split_once("```edges\n").and_then(|(_, rest)| rest.split_once("```"));
    let Some((block, _)) = block else { return other("ARCHITECTURE.md has no block of edges") };
    let mut edges = Edges::new();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let Some((name, lower)) = line.split_once(':') else {
            return other(format!("ARCHITECTURE.md: `{line}` is no `crate: lower lower`"));
        };
        edges.insert(name.trim().to_owned(), lower.split_whitespace().map(str::to_owned).collect());
    }
    Ok(edges)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

/// Reads `cargo metadata`: dependencies on the workspace's own crates, without those of development.
pub(crate) fn real(metadata: &str) -> Result<Edges, Error> {
    let metadata: Metadata =
        serde_json::from_str(metadata).map_err(|error| Error::Other(format!("cargo metadata: {error}")))?;
    let short = |name: &str| name.strip_prefix("crashlens-").unwrap_or(name).to_owned();
    Ok(metadata
        .packages
        .iter()
        .map(|package| {
            let own =
                package.dependencies.iter().filter(|d| d.path.is_some() && d.kind.as_deref() != Some("dev"));
            (short(&package.name), own.map(|d| short(&d.name)).collect())
        })
        .collect())
}

/// What is used and not allowed, what is allowed and not used, and crates that one side does not know.
pub(crate) fn compare(allowed: &Edges, real: &Edges) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, uses) in real {
        let Some(may) = allowed.get(name) else {
            findings.push(Finding::new(name, "is not in the list of edges in ARCHITECTURE.md"));
            continue;
        };
        for lower in uses.difference(may) {
            findings.push(Finding::new(name, format!("uses {lower}, which ARCHITECTURE.md does not allow")));
        }
        for lower in may.difference(uses) {
            findings
                .push(Finding::new(name, format!("ARCHITECTURE.md lets it use {lower}, and it does not")));
        }
    }
    for name in allowed.keys().filter(|name| !real.contains_key(*name)) {
        findings.push(Finding::new(name, "is in the list of edges in ARCHITECTURE.md and no crate"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(text: &str) -> Edges {
        allowed(&format!("# Title\n```edges\n{text}\n```\nmore")).unwrap()
    }

    #[test]
    fn the_list_is_read() {
        let read = edges("base:\ndump: base\nkernel: base  dump");
        assert!(read["base"].is_empty());
        assert_eq!(read["kernel"], ["base", "dump"].map(String::from).into());
        assert!(allowed("no block").is_err());
        assert!(allowed("```edges\nrubbish\n```").is_err());
    }

    #[test]
    fn metadata_is_read_without_development_and_foreign_crates() {
        let json = r#"{"packages":[{"name":"crashlens-dump","dependencies":[
            {"name":"crashlens-base","kind":null,"path":"/x/base"},
            {"name":"zstd","kind":null,"path":null},
            {"name":"crashlens-testkit","kind":"dev","path":"/x/testkit"}]}]}"#;
        let read = real(json).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["dump"]);
        assert_eq!(read["dump"], ["base".to_owned()].into());
        assert!(real("{").is_err());
    }

    #[test]
    fn equal_edges_have_no_findings() {
        assert_eq!(compare(&edges("a:\nb: a"), &edges("a:\nb: a")), []);
    }

    #[test]
    fn each_difference_is_found() {
        let at = |allowed: &str, real: &str| {
            compare(&edges(allowed), &edges(real)).iter().map(Finding::to_string).collect::<Vec<_>>()
        };
        assert_eq!(at("a:\nb:", "a:\nb: a"), ["b: uses a, which ARCHITECTURE.md does not allow"]);
        assert_eq!(at("a:\nb: a", "a:\nb:"), ["b: ARCHITECTURE.md lets it use a, and it does not"]);
        assert_eq!(at("a:", "a:\nb:"), ["b: is not in the list of edges in ARCHITECTURE.md"]);
        assert_eq!(at("a:\nb:", "a:"), ["b: is in the list of edges in ARCHITECTURE.md and no crate"]);
    }
}
