//! What headers, notes and the log tell of a machine whose kernel does not tell it: release, host, time of death.

use jiff::Timestamp;
use kernel::Layers;

/// A value, or why there is none.
type Told<T> = Result<T, String>;

/// What is told of a machine; `kernel` is what its kernel told.
pub(crate) fn release(kernel: Told<String>, layers: &Layers) -> Told<String> {
    kernel.or_else(|why| {
        let header = layers.image().dump.facts().utsname.as_ref().map(|names| names.release.clone());
        header.filter(|release| !release.is_empty()).or_else(|| note(layers, "OSRELEASE")).ok_or(why)
    })
}

/// The machine's name.
pub(crate) fn host(kernel: Told<String>, layers: &Layers) -> Told<String> {
    kernel.or_else(|why| {
        let header = layers.image().dump.facts().utsname.as_ref().map(|names| names.nodename.clone());
        header.filter(|host| !host.is_empty()).or_else(|| of_log(layers)).ok_or(why)
    })
}

/// When it died: seconds since 1970.
pub(crate) fn time(kernel: Told<i64>, layers: &Layers) -> Told<i64> {
    // a time of zero was never written
    let kernel =
        kernel.and_then(|at| if at > 0 { Ok(at) } else { Err("the kernel's clock was not set".to_owned()) });
    kernel.or_else(|why| {
        let crashed = note(layers, "CRASHTIME").and_then(|at| at.parse::<i64>().ok()).filter(|at| *at > 0);
        crashed.ok_or_else(|| {
            let written = layers.image().dump.facts().timestamp.and_then(|at| at.known());
            match written.and_then(|at| Timestamp::from_second(at).ok()) {
                Some(at) => format!("when the machine died is not known; the dump was written at {at}"),
                None => why,
            }
        })
    })
}

/// A line of VMCOREINFO. That of another boot is no word of this machine's.
fn note(layers: &Layers, what: &str) -> Option<String> {
    let image = layers.image();
    image.info.get(what).filter(|_| kernel::vmcoreinfo_fits(image)).map(str::to_owned)
}

/// The name that the machine was given when it started, by the log: `systemd[1]: Hostname set to <db7>.`
fn of_log(layers: &Layers) -> Option<String> {
    let log = layers.session().ok()?.log().ok()?;
    log.records.iter().rev().find_map(|record| host_named(&record.text))
}

fn host_named(text: &str) -> Option<String> {
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
        assert_eq!(host_named("systemd[1]: Hostname set to <db7.example>."), Some("db7.example".to_owned()));
        assert_eq!(host_named("systemd[1]: Set hostname to <db7>."), Some("db7".to_owned()));
        assert_eq!(
            (host_named("Hostname set to <>"), host_named("Hostname set to <a b>"), host_named("db7")),
            (None, None, None)
        );
    }
}
