//! `kmem -r`: slab caches with those that groups of processes had of them ([`kernel::mm::slab::roots`]).

use super::KmemArgs;
use super::slabs::{cache_row, heading};
use crate::{CommandError, Cx};
use kernel::Session;
use kernel::mm::slab;
use kernel::mm::slub_cache;
use report::{Record, Report};

pub(super) fn show(
    cx: &Cx<'_>,
    s: &Session,
    args: &KmemArgs,
    report: &mut Report,
) -> Result<(), CommandError> {
    let found = slab::roots(s).map_err(CommandError::failed)?;
    let ignored: Vec<&str> = args.ignored.iter().flat_map(|list| list.split(',')).collect();
    let name = |at| slab::cache_names(s).get(at).map_or("", String::as_str);
    let is_asked = |name: &str| {
        (args.words.is_empty() || args.words.iter().any(|word| word == name)) && !ignored.contains(&name)
    };
    report.line(heading());
    let mut rows = Vec::new();
    for root in found.all.iter().filter(|root| is_asked(name(&root.at))) {
        cx.cancel.check()?;
        let mut row = Record::new();
        let mut cache = slub_cache::read(s, root.at);
        if let Ok(cache) = &mut cache {
            for child in &root.children {
                match slub_cache::read(s, *child) {
                    // the sums of a cache and its children are those of one that has all their parts
                    Ok(child) => cache.add(child),
                    Err(e) => cache.problem = cache.problem.take().or(Some(e)),
                }
            }
        }
        cache_row(s, root.at, cache.as_ref(), &mut row)?;
        row.hidden("children", root.children.len());
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(CommandError::failed(format_args!(
            "no root slab cache of this name: {}",
            args.words.join(" ")
        )));
    }
    report.list("caches", rows);
    if let Some(e) = &found.problem {
        report.lacking(e.is_loss(), format!("kmem: the list of root slab caches is not whole: {e}"));
    }
    Ok(())
}
