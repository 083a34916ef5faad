//! Packages of any Debian suite, by apt alone.
//!
//! A suite has an apt root of its own under the cache, so that the machine's configuration is not touched. The
//! mirrors are those that the machine's own apt knows (`apt-get indextargets`); none is written here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cases::Machine;
use crate::run::{At as _, Error, command, other, output, shell};

/// The mirrors in the machine's configuration.
pub(crate) struct Mirrors {
    archive: String,
    security: Option<String>,
}

impl Mirrors {
    /// Reads them from apt.
    pub(crate) fn of_this_machine() -> Result<Self, Error> {
        let format = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)";
        let listing = output(&mut command(
            "apt-get",
            ["indextargets", "--format", format, "Created-By: Packages", "Component: main"],
        ))?;
        match Self::parse(&listing) {
            Some(found) => Ok(found),
            None => other("apt knows no Debian mirror: is this a Debian machine, and `apt-get update` done?"),
        }
    }

    fn parse(listing: &str) -> Option<Self> {
        let rows: Vec<Vec<&str>> = listing.lines().map(|line| line.split('|').collect()).collect();
        let find = |wanted: &dyn Fn(&str) -> bool| {
            rows.iter().find_map(|row| match row.as_slice() {
                [uri, release, "main", "Debian"] if wanted(release) => Some((*uri).to_owned()),
                _ => None,
            })
        };
        let archive = find(&|release| !release.contains('-'))?;
        Some(Self { archive, security: find(&|release| release.ends_with("-security")) })
    }
}

/// An apt root for one suite.
pub(crate) struct Suite {
    config: PathBuf,
    machine: Machine,
}

impl Suite {
    /// Makes the root under `cache` and reads the suite's package lists.
    pub(crate) fn open(cache: &Path, suite: &str, mirrors: &Mirrors) -> Result<Self, Error> {
        Self::of_machine(cache, suite, mirrors, Machine::Amd64)
    }

    /// The same of the packages for another machine; `cache` is another one too.
    pub(crate) fn of_machine(
        cache: &Path,
        suite: &str,
        mirrors: &Mirrors,
        machine: Machine,
    ) -> Result<Self, Error> {
        let root = cache.join("apt").join(suite);
        for dir in
            ["etc/apt.conf.d", "etc/preferences.d", "etc/trusted.gpg.d", "lists/partial", "archives/partial"]
        {
            fs::create_dir_all(root.join(dir)).at(&root)?;
        }
        let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let mut sources = format!("deb [signed-by={key}] {} {suite} main\n", mirrors.archive);
        if let Some(security) = mirrors.security.as_ref().filter(|_| suite != "sid") {
            sources += &format!("deb [signed-by={key}] {security} {suite}-security main\n");
        }
        fs::write(root.join("etc/sources.list"), sources).at(&root)?;
        fs::write(root.join("status"), "").at(&root)?;
        let root = root.display();
        let architecture = match machine {
            Machine::Amd64 => String::new(),
            other => {
                format!("APT::Architecture \"{0}\";\nAPT::Architectures {{ \"{0}\"; }};\n", other.debian())
            }
        };
        let config = format!(
            "{architecture}Dir::Etc \"{root}/etc\";\nDir::State \"{root}\";\nDir::State::status \"{root}/status\";\n\
             Dir::Cache \"{root}\";\nAcquire::Languages \"none\";\nAPT::Sandbox::User \"root\";\n\
             Acquire::Check-Valid-Until \"false\";\nAcquire::Retries \"3\";\n"
        );
        let path = cache.join("apt").join(format!("{suite}.conf"));
        fs::write(&path, config).at(&path)?;
        let this = Self { config: path, machine };
        output(&mut this.apt("apt-get", &["update", "-q"]))?;
        Ok(this)
    }

    fn apt(&self, program: &str, args: &[&str]) -> Command {
        let mut apt = command(program, args);
        apt.env("APT_CONFIG", &self.config);
        apt
    }

    /// The cloud kernels with debug symbols whose release starts with `prefix`, the newest first. A mirror may list
    /// one and yet not hold its files.
    pub(crate) fn kernels(&self, prefix: &str) -> Result<Vec<KernelPackages>, Error> {
        let names = output(&mut self.apt("apt-cache", &["pkgnames", "linux-"]))?;
        let names: Vec<&str> = names.lines().collect();
        let mut found: Vec<KernelPackages> = Vec::new();
        for release in
            names.iter().filter_map(|name| release_of(name, self.machine)).filter(|r| r.starts_with(prefix))
        {
            let version = self.version(&format!("linux-image-{release}-dbg"))?;
            found.push(KernelPackages {
                release: release.to_owned(),
                version,
                images: images(&names, release),
            });
        }
        let versions: Vec<String> = found.iter().map(|kernel| kernel.version.clone()).collect();
        let order = shell("printf '%s\\n' \"$@\" | sort -rV", &versions)?;
        found.sort_by_key(|kernel| order.lines().position(|version| version == kernel.version));
        Ok(found)
    }

    fn version(&self, package: &str) -> Result<String, Error> {
        let shown = output(&mut self.apt("apt-cache", &["show", "--no-all-versions", package]))?;
        match shown.lines().find_map(|line| line.strip_prefix("Version: ")) {
            Some(version) => Ok(version.trim().to_owned()),
            None => other(format!("package {package} has no version in this suite")),
        }
    }

    /// What a package of this suite depends on, by names that start with `prefix`.
    pub(crate) fn depends(&self, package: &str, prefix: &str) -> Result<Vec<String>, Error> {
        let shown = output(&mut self.apt("apt-cache", &["depends", package]))?;
        let names = shown.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect())
    }

    /// Downloads packages into `dir` (apt checks their hashes) and returns the files. Where the mirror lacks the newest
    /// version of one, an older one is taken.
    pub(crate) fn download(&self, packages: &[&str], dir: &Path) -> Result<Vec<PathBuf>, Error> {
        fs::create_dir_all(dir).at(dir)?;
        for package in packages {
            let mut done = output(self.apt("apt-get", &["download", "-q", package]).current_dir(dir));
            if done.is_err() {
                let known = output(&mut self.apt("apt-cache", &["madison", package]))?;
                for version in known.lines().filter_map(|line| line.split('|').nth(1)) {
                    if done.is_ok() {
                        break;
                    }
                    let exact = format!("{package}={}", version.trim());
                    done = output(self.apt("apt-get", &["download", "-q", &exact]).current_dir(dir));
                }
            }
            done?;
        }
        archives(dir)
    }

    /// Downloads packages with everything they depend on, and returns the files.
    pub(crate) fn download_closure(&self, packages: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let args = ["install", "-y", "-q", "--download-only", "--no-install-recommends"];
        output(self.apt("apt-get", &args).args(packages))?;
        archives(&self.config.with_extension("").join("archives"))
    }
}

/// A kernel's release and packages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KernelPackages {
    /// As `uname -r` says.
    pub release: String,
    /// Of the packages.
    pub version: String,
    /// The packages with vmlinuz and modules.
    pub images: Vec<String>,
}

/// The packages that hold a kernel and its modules: one, and since 7.x one for each.
fn images(names: &[&str], release: &str) -> Vec<String> {
    let first = |candidates: [String; 2]| candidates.into_iter().find(|name| names.contains(&name.as_str()));
    let modules = first([format!("linux-modules-{release}"), String::new()]);
    let binary = match &modules {
        Some(_) => first([format!("linux-binary-unsigned-{release}"), format!("linux-binary-{release}")]),
        None => first([format!("linux-image-{release}"), format!("linux-image-{release}-unsigned")]),
    };
    binary.into_iter().chain(modules).collect()
}

/// The release in the name of a debug symbol package; the packages that only name the newest have none.
fn release_of(package: &str, machine: Machine) -> Option<&str> {
    let release = package.strip_prefix("linux-image-")?.strip_suffix("-dbg")?;
    let version = release.strip_suffix(machine.debian())?.strip_suffix("-cloud-")?;
    (version.bytes().filter(|byte| *byte == b'.').count() >= 2).then_some(release)
}

fn archives(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).at(dir)? {
        let path = entry.at(dir)?.path();
        if path.extension().is_some_and(|ext| ext == "deb") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_come_from_the_listing() {
        let listing = "https://node.example/|nodistro|main|Node\n\
                       http://mirror.example/debian/|bookworm-updates|main|Debian\n\
                       http://mirror.example/debian/|bookworm|main|Debian\n\
                       http://mirror.example/security/|bookworm-security|main|Debian\n";
        let found = Mirrors::parse(listing).unwrap();
        assert_eq!(found.archive, "http://mirror.example/debian/");
        assert_eq!(found.security.as_deref(), Some("http://mirror.example/security/"));
        assert!(Mirrors::parse("").is_none());
    }

    #[test]
    fn a_kernel_is_one_package_or_two() {
        let old = ["linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-9-cloud-amd64-unsigned"];
        assert_eq!(images(&old, "6.1.0-9-cloud-amd64"), [old[0]]);
        assert_eq!(images(&old[1..], "6.1.0-9-cloud-amd64"), [old[1]]);
        let new = ["linux-image-7.2-c", "linux-binary-unsigned-7.2-c", "linux-modules-7.2-c"];
        assert_eq!(images(&new, "7.2-c"), [new[1], new[2]]);
    }

    #[test]
    fn only_real_kernels_have_a_release() {
        let of = |package| release_of(package, Machine::Amd64);
        assert_eq!(of("linux-image-6.1.0-9-cloud-amd64-dbg"), Some("6.1.0-9-cloud-amd64"));
        assert_eq!(of("linux-image-6.12.9+deb12-cloud-amd64-dbg"), Some("6.12.9+deb12-cloud-amd64"));
        assert_eq!(of("linux-image-6.12-cloud-amd64-dbg"), None);
        assert_eq!(of("linux-image-cloud-amd64-dbg"), None);
        assert_eq!(of("linux-image-6.1.0-9-amd64-dbg"), None);
        assert_eq!(of("linux-image-6.1.0-9-cloud-arm64-dbg"), None);
        let arm = release_of("linux-image-6.1.0-9-cloud-arm64-dbg", Machine::Arm64);
        assert_eq!(arm, Some("6.1.0-9-cloud-arm64"));
    }
}
