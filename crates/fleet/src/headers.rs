//! What headers, notes and the log tell of a machine whose kernel does not tell it: release, host, time of death.

use crate::row::Row;
use jiff::Timestamp;
use kernel::Layers;

/// Fills in what the kernel did not tell.
pub(crate) fn fill(row: &mut Row, layers: &Layers) {
    let image = layers.image();
    let facts = image.dump.facts();
    let header = facts.utsname.as_ref();
    let told = |value: Option<&String>| value.filter(|value| !value.is_empty()).cloned();
    // VMCOREINFO of another boot is no word of this machine's
    let note =
        |what: &str| image.info.get(what).filter(|_| kernel::vmcoreinfo_fits(image)).map(str::to_owned);
    if row.release.is_err()
        && let Some(release) = told(header.map(|names| &names.release)).or_else(|| note("OSRELEASE"))
    {
        row.release = Ok(release);
    }
    if row.host.is_err()
        && let Some(host) = told(header.map(|names| &names.nodename)).or_else(|| of_log(layers))
    {
        row.host = Ok(host);
    }
    // a time of zero was never written
    if row.time.as_ref().map_or(true, |at| *at <= 0) {
        let crashed = note("CRASHTIME").and_then(|at| at.parse::<i64>().ok()).filter(|at| *at > 0);
        row.time = crashed.ok_or_else(|| {
            let written = facts.timestamp.and_then(|at| at.known());
            let written = written.and_then(|at| Timestamp::from_second(at).ok());
            match (written, &row.time) {
                (Some(at), _) => format!("when the machine died is not known; the dump was written at {at}"),
                (None, Err(why)) => why.clone(),
                (None, Ok(_)) => "the kernel's clock was not set".to_owned(),
            }
        });
    }
}

/// The name that the machine was given when it started, by the log: `systemd[1]: Hostname set to <db7>.`
fn of_log(layers: &Layers) -> Option<String> {
    let log = layers.session().ok()?.log().ok()?;
    log.records.iter().rev().find_map(|record| host(&record.text))
}

fn host(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("ostname to <").or_else(|| text.split_once("Hostname set to <"))?;
    let (name, _) = rest.split_once('>')?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (!name.is_empty() && name.chars().all(is_plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_host() {
        assert_eq!(host("systemd[1]: Hostname set to <db7.example>."), Some("db7.example".to_owned()));
        assert_eq!(host("systemd[1]: Set hostname to <db7>."), Some("db7".to_owned()));
        assert_eq!(
            (host("Hostname set to <>"), host("Hostname set to <a b>"), host("db7")),
            (None, None, None)
        );
    }
}
